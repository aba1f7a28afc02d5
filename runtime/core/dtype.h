// SPDX-License-Identifier: MIT
// Element types: one table of name, ONNX code and width.
#ifndef SLM_RUNTIME_CORE_DTYPE_H_
#define SLM_RUNTIME_CORE_DTYPE_H_

#include <cstddef>
#include <cstdint>
#include <optional>

namespace slm {

enum class DType : uint8_t {
  kF32, kF64, kF16, kBF16,
  kI8, kI16, kI32, kI64,
  kU8, kU16, kU32, kU64,
  kBool,
  kI4, kU4,  // two a byte, low nibble first
};

struct DTypeInfo {
  DType dtype;
  const char* name;  // ONNX's spelling: "float", "int64", ...
  int onnx;          // TensorProto.DataType
  int bits;
};

// Indexed by DType.
inline constexpr DTypeInfo kDTypes[] = {
    {DType::kF32, "float", 1, 32},     {DType::kF64, "double", 11, 64},
    {DType::kF16, "float16", 10, 16},  {DType::kBF16, "bfloat16", 16, 16},
    {DType::kI8, "int8", 3, 8},        {DType::kI16, "int16", 5, 16},
    {DType::kI32, "int32", 6, 32},     {DType::kI64, "int64", 7, 64},
    {DType::kU8, "uint8", 2, 8},       {DType::kU16, "uint16", 4, 16},
    {DType::kU32, "uint32", 12, 32},   {DType::kU64, "uint64", 13, 64},
    {DType::kBool, "bool", 9, 8},      {DType::kI4, "int4", 22, 4},
    {DType::kU4, "uint4", 21, 4},
};

constexpr const DTypeInfo& Info(DType dtype) {
  return kDTypes[static_cast<size_t>(dtype)];
}
constexpr const char* Name(DType dtype) { return Info(dtype).name; }

// nullopt for a TensorProto.DataType that this runtime does not hold.
constexpr std::optional<DType> DTypeFromOnnx(int onnx) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.onnx == onnx) return info.dtype;
  }
  return std::nullopt;
}

// Bytes of `count` elements; two 4-bit elements share a byte.
constexpr size_t BytesFor(DType dtype, size_t count) {
  return Info(dtype).bits == 4 ? count / 2 + count % 2
                               : count * (Info(dtype).bits / 8);
}

constexpr bool IsFloat(DType d) {
  return d == DType::kF32 || d == DType::kF64 || d == DType::kF16 ||
         d == DType::kBF16;
}
// float16 and bfloat16: storage formats. Activations of these types are
// computed and held in float32 (see runtime/plan).
constexpr bool IsHalf(DType d) {
  return d == DType::kF16 || d == DType::kBF16;
}

// DTypeOf<float>() == DType::kF32 and so on, for the types C++ has.
template <typename T>
constexpr DType DTypeOf();
template <> constexpr DType DTypeOf<float>() { return DType::kF32; }
template <> constexpr DType DTypeOf<double>() { return DType::kF64; }
template <> constexpr DType DTypeOf<int8_t>() { return DType::kI8; }
template <> constexpr DType DTypeOf<int16_t>() { return DType::kI16; }
template <> constexpr DType DTypeOf<int32_t>() { return DType::kI32; }
template <> constexpr DType DTypeOf<int64_t>() { return DType::kI64; }
template <> constexpr DType DTypeOf<uint8_t>() { return DType::kU8; }
template <> constexpr DType DTypeOf<uint16_t>() { return DType::kU16; }
template <> constexpr DType DTypeOf<uint32_t>() { return DType::kU32; }
template <> constexpr DType DTypeOf<uint64_t>() { return DType::kU64; }
template <> constexpr DType DTypeOf<bool>() { return DType::kBool; }

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_DTYPE_H_
