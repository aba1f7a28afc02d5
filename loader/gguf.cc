// SPDX-License-Identifier: MIT
#include "loader/gguf.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>

#include "runtime/core/file.h"
#include "runtime/core/utf8.h"

namespace slm {
namespace {

// Far above real files (a model of 400 experts has some 10^4 tensors), and a
// bound for the memory of the tables.
constexpr uint64_t kMaxTensors = uint64_t{1} << 17;
constexpr uint64_t kMaxKeys = uint64_t{1} << 14;
constexpr uint64_t kMaxNameBytes = 1024;
constexpr size_t kMaxDims = 4;
constexpr size_t kMaxFiles = 1000;

struct TypeRow {
  uint32_t id;
  const char* name;
  size_t values, bytes;  // of a block
};

// Indexed by GgufType.
constexpr TypeRow kTypes[] = {
    {0, "F32", 1, 4},       {1, "F16", 1, 2},       {30, "BF16", 1, 2},
    {2, "Q4_0", 32, 18},    {3, "Q4_1", 32, 20},    {6, "Q5_0", 32, 22},
    {7, "Q5_1", 32, 24},    {8, "Q8_0", 32, 34},    {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110}, {12, "Q4_K", 256, 144}, {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},
};

struct RefusedRow {
  uint32_t id;
  const char* name;
};

constexpr RefusedRow kRefused[] = {
    {9, "Q8_1"},     {15, "Q8_K"},   {16, "IQ2_XXS"}, {17, "IQ2_XS"},
    {18, "IQ3_XXS"}, {19, "IQ1_S"},  {20, "IQ4_NL"},  {21, "IQ3_S"},
    {22, "IQ2_S"},   {23, "IQ4_XS"}, {24, "I8"},      {25, "I16"},
    {26, "I32"},     {27, "I64"},    {28, "F64"},     {29, "IQ1_M"},
    {34, "TQ1_0"},   {35, "TQ2_0"},  {39, "MXFP4"},   {40, "NVFP4"},
};

Result<GgufType> TypeOf(uint32_t id) {
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    if (kTypes[i].id == id) return static_cast<GgufType>(i);
  }
  for (const RefusedRow& row : kRefused) {
    if (row.id == id) return Invalid("type %s is not supported", row.name);
  }
  return Invalid("type %u is not supported", id);
}

// Metadata types of the format.
enum ValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

size_t ScalarBytes(uint32_t type) {
  switch (type) {
    case kU8:
    case kI8:
    case kBool:
      return 1;
    case kU16:
    case kI16:
      return 2;
    case kU32:
    case kI32:
    case kF32:
      return 4;
    case kU64:
    case kI64:
    case kF64:
      return 8;
    default:
      return 0;
  }
}

GgufValue::Kind KindOf(uint32_t type) {
  switch (type) {
    case kF32:
    case kF64:
      return GgufValue::Kind::kFloat;
    case kBool:
      return GgufValue::Kind::kBool;
    case kString:
      return GgufValue::Kind::kString;
    default:
      return GgufValue::Kind::kInt;
  }
}

// Little-endian, of any alignment.
uint64_t Word(const char* bytes, size_t count) {
  uint64_t word = 0;
  for (size_t i = 0; i < count; ++i) {
    word |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  return word;
}

// Unsigned numbers above 2^63 - 1 have no meaning in any key: as if cut there.
int64_t IntAt(uint32_t type, const char* bytes) {
  const uint64_t word = Word(bytes, ScalarBytes(type));
  switch (type) {
    case kI8:
      return static_cast<int8_t>(word);
    case kI16:
      return static_cast<int16_t>(word);
    case kI32:
      return static_cast<int32_t>(word);
    case kI64:
      return static_cast<int64_t>(word);
    case kBool:
      return word != 0;
    default:
      return static_cast<int64_t>(
          std::min<uint64_t>(word, uint64_t{INT64_MAX}));
  }
}

double FloatAt(uint32_t type, const char* bytes) {
  if (type == kF64) return std::bit_cast<double>(Word(bytes, 8));
  return double{std::bit_cast<float>(static_cast<uint32_t>(Word(bytes, 4)))};
}

// Walks over the bytes of a file; every read is checked.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}

  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }

  Result<std::string_view> Take(uint64_t count) {
    if (count > left()) {
      return Invalid(
          "needs %llu bytes at byte %zu, file has %zu; download is probably "
          "incomplete",
          static_cast<unsigned long long>(count), at_, bytes_.size());
    }
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  Result<uint64_t> Number(size_t bytes) {
    SLM_ASSIGN_OR_RETURN(const std::string_view taken, Take(bytes));
    return Word(taken.data(), bytes);
  }
  Result<std::string_view> Text() {
    SLM_ASSIGN_OR_RETURN(const uint64_t length, Number(8));
    return Take(length);
  }
  Result<std::string_view> Name() {
    SLM_ASSIGN_OR_RETURN(const std::string_view name, Text());
    if (name.empty() || name.size() > kMaxNameBytes || !IsValidUtf8(name)) {
      return Invalid("a name of %zu bytes at byte %zu is not UTF-8 of 1..%llu",
                     name.size(), at_,
                     static_cast<unsigned long long>(kMaxNameBytes));
    }
    return name;
  }

 private:
  std::string_view bytes_;
  size_t at_ = 0;
};

Status ReadArray(Cursor* cursor, GgufValue* value) {
  SLM_ASSIGN_OR_RETURN(const uint64_t type, cursor->Number(4));
  SLM_ASSIGN_OR_RETURN(const uint64_t count, cursor->Number(8));
  const auto element = static_cast<uint32_t>(type);
  const size_t size = ScalarBytes(element);
  if (size == 0 && element != kString) {
    return Invalid("an array of elements of type %u is not supported", element);
  }
  // A string has at least its length of 8 bytes.
  const std::optional<size_t> least = CheckedMul(count, size ? size : 8);
  if (!least || *least > cursor->left()) {
    return Invalid(
        "%llu elements do not fit the %zu bytes that are left; download is "
        "probably incomplete",
        static_cast<unsigned long long>(count), cursor->left());
  }
  value->kind = GgufValue::Kind::kArray;
  value->element = KindOf(element);
  value->type = static_cast<uint8_t>(element);
  value->count = count;
  if (size != 0) {
    SLM_ASSIGN_OR_RETURN(value->raw, cursor->Take(*least));
    return OkStatus();
  }
  Cursor begin = *cursor;
  for (uint64_t i = 0; i < count; ++i) {
    SLM_RETURN_IF_ERROR(cursor->Text().status());
  }
  SLM_ASSIGN_OR_RETURN(value->raw, begin.Take(cursor->at() - begin.at()));
  return OkStatus();
}

Result<GgufValue> ReadValue(Cursor* cursor) {
  SLM_ASSIGN_OR_RETURN(const uint64_t type, cursor->Number(4));
  GgufValue value;
  value.type = static_cast<uint8_t>(std::min<uint64_t>(type, 255));
  if (type == kArray) {
    SLM_RETURN_IF_ERROR(ReadArray(cursor, &value));
    return value;
  }
  value.kind = KindOf(static_cast<uint32_t>(type));
  if (type == kString) {
    SLM_ASSIGN_OR_RETURN(value.text, cursor->Text());
    return value;
  }
  const size_t size = ScalarBytes(static_cast<uint32_t>(type));
  if (size == 0) {
    return Invalid("a value of type %llu is not supported",
                   static_cast<unsigned long long>(type));
  }
  SLM_ASSIGN_OR_RETURN(const std::string_view bytes, cursor->Take(size));
  if (value.kind == GgufValue::Kind::kFloat) {
    value.number = FloatAt(static_cast<uint32_t>(type), bytes.data());
  } else {
    value.integer = IntAt(static_cast<uint32_t>(type), bytes.data());
  }
  return value;
}

struct Extent {
  std::string name;
  GgufTensor tensor;
  uint64_t begin = 0;  // from the start of the data
  size_t bytes = 0;
};

Status ReadExtent(Cursor* cursor, Extent* extent) {
  SLM_ASSIGN_OR_RETURN(const uint64_t rank, cursor->Number(4));
  if (rank < 1 || rank > kMaxDims) {
    return Invalid("has %llu dimensions, supported: 1 to %zu",
                   static_cast<unsigned long long>(rank), kMaxDims);
  }
  std::vector<int64_t> dims;
  for (uint64_t i = 0; i < rank; ++i) {
    SLM_ASSIGN_OR_RETURN(const uint64_t dim, cursor->Number(8));
    if (dim > uint64_t{INT64_MAX}) return Invalid("is too large");
    dims.insert(dims.begin(), static_cast<int64_t>(dim));
  }
  const std::optional<Shape> shape = Shape::Make(dims);
  if (!shape) return Invalid("is too large");
  SLM_ASSIGN_OR_RETURN(const uint64_t type, cursor->Number(4));
  SLM_ASSIGN_OR_RETURN(extent->begin, cursor->Number(8));
  SLM_ASSIGN_OR_RETURN(extent->tensor.type,
                       TypeOf(static_cast<uint32_t>(type)));
  extent->tensor.shape = *shape;
  const size_t values = GgufBlockValues(extent->tensor.type);
  if (static_cast<size_t>(shape->back()) % values != 0) {
    return Invalid("%s %s: rows are no multiple of a block of %zu",
                   GgufTypeName(extent->tensor.type), shape->ToString().c_str(),
                   values);
  }
  const std::optional<size_t> bytes =
      CheckedMul(shape->Count() / values, GgufBlockBytes(extent->tensor.type));
  if (!bytes) return Invalid("is too large");
  extent->bytes = *bytes;
  return OkStatus();
}

Status CheckExtents(std::vector<Extent>* extents, size_t data_bytes,
                    uint64_t alignment) {
  std::stable_sort(
      extents->begin(), extents->end(),
      [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  uint64_t end = 0;
  for (const Extent& extent : *extents) {
    const std::string shown = Printable(extent.name);
    if (extent.begin % alignment != 0) {
      return Invalid("tensor \"%s\" begins at byte %llu, no multiple of %llu",
                     shown.c_str(),
                     static_cast<unsigned long long>(extent.begin),
                     static_cast<unsigned long long>(alignment));
    }
    if (extent.begin > data_bytes || extent.bytes > data_bytes - extent.begin) {
      return Invalid(
          "tensor \"%s\" needs %zu bytes from byte %llu of the data, file has "
          "%zu; download is probably incomplete",
          shown.c_str(), extent.bytes,
          static_cast<unsigned long long>(extent.begin), data_bytes);
    }
    if (extent.begin < end) {
      return Invalid("tensor \"%s\" overlaps the one before it", shown.c_str());
    }
    end = extent.begin + extent.bytes;
  }
  return OkStatus();
}

struct Header {
  uint64_t tensors = 0, keys = 0;
};

Result<Header> ReadHeader(Cursor* cursor) {
  const Result<std::string_view> magic = cursor->Take(4);
  if (!magic.ok() || *magic != "GGUF") {
    return Invalid("does not begin with \"GGUF\"");
  }
  SLM_ASSIGN_OR_RETURN(const uint64_t version, cursor->Number(4));
  if (version != 0 && version % 65536 == 0) {
    return Invalid("big-endian files are not supported");
  }
  if (version != 2 && version != 3) {
    return Invalid("version %llu is not supported, 2 and 3 are",
                   static_cast<unsigned long long>(version));
  }
  Header header;
  SLM_ASSIGN_OR_RETURN(header.tensors, cursor->Number(8));
  SLM_ASSIGN_OR_RETURN(header.keys, cursor->Number(8));
  if (header.tensors > kMaxTensors || header.keys > kMaxKeys) {
    return Invalid("%llu tensors and %llu keys, supported: up to %llu and %llu",
                   static_cast<unsigned long long>(header.tensors),
                   static_cast<unsigned long long>(header.keys),
                   static_cast<unsigned long long>(kMaxTensors),
                   static_cast<unsigned long long>(kMaxKeys));
  }
  return header;
}

using Values = std::map<std::string, GgufValue, std::less<>>;

Result<Values> ReadKeys(Cursor* cursor, uint64_t count) {
  Values values;
  for (uint64_t i = 0; i < count; ++i) {
    SLM_ASSIGN_OR_RETURN(const std::string_view key, cursor->Name());
    Result<GgufValue> value = ReadValue(cursor);
    const std::string shown = Printable(key);
    if (!value.ok()) return value.status().In("key \"" + shown + "\"");
    if (!values.emplace(key, *value).second) {
      return Invalid("key \"%s\" is there twice", shown.c_str());
    }
  }
  return values;
}

int64_t IntOr(const Values& values, const char* key, int64_t absent) {
  const auto found = values.find(key);
  if (found == values.end()) return absent;
  return found->second.kind == GgufValue::Kind::kInt ? found->second.integer
                                                     : int64_t{-1};
}

// What the file says of itself is what its name says.
Status CheckPlace(const Values& values, size_t number, size_t files) {
  const int64_t own = IntOr(values, "split.no", 0);
  const int64_t count = IntOr(values, "split.count", 1);
  if ((count == static_cast<int64_t>(files) || (files == 1 && count == 0)) &&
      own == static_cast<int64_t>(number)) {
    return OkStatus();
  }
  return Invalid(
      "split.no = %lld and split.count = %lld, by its name it is %zu of %zu",
      static_cast<long long>(own), static_cast<long long>(count), number,
      files);
}

Result<size_t> ReadAlignment(const Values& values) {
  const int64_t alignment = IntOr(values, "general.alignment", 32);
  if (alignment < 1 || alignment > (int64_t{1} << 30) ||
      !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    return Invalid("general.alignment = %lld is no power of two",
                   static_cast<long long>(alignment));
  }
  return static_cast<size_t>(alignment);
}

// "-00001-of-00003.gguf" at the end of a name.
struct SplitName {
  std::string stem;
  size_t number = 0, files = 0;
};

constexpr std::string_view kSuffix = ".gguf";

std::optional<SplitName> ParseSplitName(std::string_view name) {
  constexpr size_t kTail = 20;  // "-00001-of-00003.gguf"
  if (name.size() <= kTail) return std::nullopt;
  const std::string_view tail = name.substr(name.size() - kTail);
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" ||
      tail.substr(15) != kSuffix) {
    return std::nullopt;
  }
  const auto digits = [&](size_t at) {
    size_t number = 0;
    for (size_t i = at; i < at + 5; ++i) {
      if (tail[i] < '0' || tail[i] > '9') return size_t{0};
      number = number * 10 + static_cast<size_t>(tail[i] - '0');
    }
    return number;
  };
  SplitName split{std::string(name.substr(0, name.size() - kTail)), digits(1),
                  digits(10)};
  if (split.number < 1 || split.number > split.files) return std::nullopt;
  return split;
}

std::string FileName(const std::string& path) {
  return path.substr(path.find_last_of("/\\") + 1);
}

}  // namespace

const char* GgufTypeName(GgufType type) {
  return kTypes[static_cast<size_t>(type)].name;
}
size_t GgufBlockValues(GgufType type) {
  return kTypes[static_cast<size_t>(type)].values;
}
size_t GgufBlockBytes(GgufType type) {
  return kTypes[static_cast<size_t>(type)].bytes;
}

// The reader has walked over these bytes.
std::vector<std::string_view> GgufValue::Strings() const {
  std::vector<std::string_view> out;
  if (kind != Kind::kArray || element != Kind::kString) return out;
  out.reserve(count);
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto length = static_cast<size_t>(Word(raw.data() + at, 8));
    out.push_back(raw.substr(at + 8, length));
    at += 8 + length;
  }
  return out;
}

std::vector<int64_t> GgufValue::Ints() const {
  std::vector<int64_t> out;
  if (kind != Kind::kArray ||
      (element != Kind::kInt && element != Kind::kBool)) {
    return out;
  }
  const size_t size = ScalarBytes(type);
  for (size_t i = 0; i < count; ++i) {
    out.push_back(IntAt(type, raw.data() + i * size));
  }
  return out;
}

std::vector<double> GgufValue::Floats() const {
  std::vector<double> out;
  if (kind != Kind::kArray || element != Kind::kFloat) return out;
  const size_t size = ScalarBytes(type);
  for (size_t i = 0; i < count; ++i) {
    out.push_back(FloatAt(type, raw.data() + i * size));
  }
  return out;
}

const GgufTensor* Gguf::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

const GgufValue* Gguf::Value(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

void Gguf::Release(const GgufTensor& tensor, size_t first, size_t count) const {
  maps_[tensor.file].Release(tensor.bytes.substr(first, count));
}

Status Gguf::ReadFile(std::string_view file, size_t number, size_t files) {
  Cursor cursor(file);
  SLM_ASSIGN_OR_RETURN(const Header header, ReadHeader(&cursor));
  SLM_ASSIGN_OR_RETURN(Values values, ReadKeys(&cursor, header.keys));
  SLM_RETURN_IF_ERROR(CheckPlace(values, number, files));
  std::vector<Extent> extents;
  for (uint64_t i = 0; i < header.tensors; ++i) {
    SLM_ASSIGN_OR_RETURN(const std::string_view name, cursor.Name());
    Extent extent;
    extent.name = name;
    extent.tensor.file = static_cast<uint32_t>(number);
    const Status status = ReadExtent(&cursor, &extent);
    if (!status.ok()) return status.In("tensor \"" + Printable(name) + "\"");
    extents.push_back(std::move(extent));
  }
  SLM_ASSIGN_OR_RETURN(const size_t step, ReadAlignment(values));
  const size_t begin = std::min(RoundUp(cursor.at(), step), file.size());
  const std::string_view data = file.substr(begin);
  SLM_RETURN_IF_ERROR(CheckExtents(&extents, data.size(), step));
  for (Extent& extent : extents) {
    extent.tensor.bytes = data.substr(extent.begin, extent.bytes);
    total_bytes_ += extent.bytes;
    if (!tensors_.emplace(extent.name, extent.tensor).second) {
      return Invalid("tensor \"%s\" is there twice",
                     Printable(extent.name).c_str());
    }
  }
  if (number == 0) values_ = std::move(values);
  return OkStatus();
}

Status Gguf::AddFile(const std::string& path, size_t number, size_t files) {
  const std::string name = FileName(path);
  SLM_ASSIGN_OR_RETURN(MappedFile map, MappedFile::Open(path));
  const Status status = ReadFile(map.view(), number, files);
  if (!status.ok()) return status.In(Printable(name, 400));
  maps_.push_back(std::move(map));
  names_.push_back(name);
  return OkStatus();
}

Status Gguf::CheckSplit(size_t files) const {
  const GgufValue* count = Value("split.tensors.count");
  if (files == 1 || !count) return OkStatus();
  if (count->kind == GgufValue::Kind::kInt &&
      count->integer == static_cast<int64_t>(tensors_.size())) {
    return OkStatus();
  }
  return Invalid("%s: split.tensors.count = %lld, the files have %zu",
                 Printable(names_[0], 400).c_str(),
                 static_cast<long long>(count->integer), tensors_.size());
}

Result<Gguf> Gguf::Open(const std::string& path) {
  SLM_ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                       GgufSplitPaths(path));
  Gguf gguf;
  for (size_t i = 0; i < paths.size(); ++i) {
    SLM_RETURN_IF_ERROR(gguf.AddFile(paths[i], i, paths.size()));
  }
  SLM_RETURN_IF_ERROR(gguf.CheckSplit(paths.size()));
  return gguf;
}

Result<std::vector<std::string>> GgufSplitPaths(const std::string& path) {
  const std::optional<SplitName> split = ParseSplitName(path);
  if (!split) return std::vector<std::string>{path};
  if (split->files > kMaxFiles) {
    return Invalid("\"%s\": %zu files, supported: up to %zu",
                   Printable(path, 400).c_str(), split->files, kMaxFiles);
  }
  std::vector<std::string> paths;
  for (size_t i = 1; i <= split->files; ++i) {
    paths.push_back(split->stem + Format("-%05zu-of-%05zu", i, split->files) +
                    std::string(kSuffix));
    if (!IsFile(paths.back())) {
      return Error(ErrorKind::kNotFound, "\"%s\" not found: one of %zu files",
                   Printable(paths.back(), 400).c_str(), split->files);
    }
  }
  return paths;
}

Result<std::optional<std::string>> FindGguf(const std::string& folder) {
  std::string first, second;
  for (const std::string& name : ListFolder(folder)) {
    if (!name.ends_with(kSuffix)) continue;
    const std::optional<SplitName> split = ParseSplitName(name);
    if (split && split->number != 1) continue;
    (first.empty() ? first : second) = name;
  }
  if (first.empty()) return std::optional<std::string>();
  if (!second.empty()) {
    return Invalid("\"%s\" holds \"%s\" and \"%s\": pass one of the files",
                   Printable(folder, 400).c_str(), Printable(first).c_str(),
                   Printable(second).c_str());
  }
  return std::optional<std::string>(folder + "/" + first);
}

}  // namespace slm
