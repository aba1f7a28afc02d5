// SPDX-License-Identifier: MIT
// The dynamic values of chat templates, with Python's meaning. Values are
// shared by reference count and immutable once built (the template language is
// Jinja's *immutable* sandbox), so a context may be used by several threads.
// Containers know how deep they nest; a cycle can only go through a namespace
// or a macro, and the evaluator empties those when a render ends.
#ifndef SLM_RUNTIME_TEXT_VALUE_H_
#define SLM_RUNTIME_TEXT_VALUE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/text/text_span.h"

namespace slm::jinja {

// Base of everything that a Value refers to.
class Object {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
  void Retain() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  void Release() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  bool IsShared() const { return refs_.load(std::memory_order_relaxed) > 1; }

 private:
  mutable std::atomic<uint32_t> refs_{1};
};

// Owning pointer to an Object.
template <typename T>
class Ref {
 public:
  Ref() = default;
  // Takes over the reference that `new` gave.
  explicit Ref(T* object) : object_(object) {}
  Ref(const Ref& other) : object_(other.object_) {
    if (object_) object_->Retain();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) object_->Release();
  }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

struct StringObject;
struct ListObject;
struct DictObject;

class Value {
 public:
  enum class Type : uint8_t {
    kUndefined,
    kNone,
    kBool,
    kInt,
    kFloat,
    kBigInt,
    kString,
    kList,
    kTuple,
    kDict,
    kRange,
    kView,      // dict_keys, dict_values, dict_items
    kIterator,  // generators and reversed(): consumed once
    kNamespace,
    kMacro,
    kLoop,
    kCallable,  // functions, bound methods, cyclers, joiners
  };

  Value() : type_(Type::kUndefined), int_(0) {}  // undefined without a name
  Value(const Value& other) : type_(other.type_), int_(other.int_) {
    if (has_object_ = other.has_object_; has_object_) {
      object_ = other.object_;
      object_->Retain();
    }
  }
  Value(Value&& other) noexcept
      : type_(other.type_), has_object_(other.has_object_), int_(other.int_) {
    if (has_object_) object_ = other.object_;
    other.type_ = Type::kUndefined;
    other.has_object_ = false;
    other.int_ = 0;
  }
  Value& operator=(Value other) noexcept {
    std::swap(type_, other.type_);
    std::swap(has_object_, other.has_object_);
    std::swap(int_, other.int_);
    return *this;
  }
  ~Value() {
    if (has_object_) object_->Release();
  }

  static Value None() { return Value(Type::kNone, 0); }
  static Value Bool(bool b) { return Value(Type::kBool, b); }
  static Value Int(int64_t i) { return Value(Type::kInt, i); }
  static Value Float(double d);
  // Text of the template, of the program or of a trusted caller.
  static Value String(std::string text);
  // Text typed by a user: it never becomes a control token.
  static Value UserString(std::string text);
  static Value List(std::vector<Value> items);
  static Value Tuple(std::vector<Value> items);
  static Value Dict(std::vector<std::pair<std::string, Value>> members);
  // Takes over the caller's reference.
  static Value Of(Type type, Object* object) {
    Value value(type, 0);
    value.object_ = object;
    value.has_object_ = true;
    return value;
  }

  Type type() const { return type_; }
  bool IsUndefined() const { return type_ == Type::kUndefined; }
  bool IsNone() const { return type_ == Type::kNone; }
  bool IsBool() const { return type_ == Type::kBool; }
  bool IsInt() const { return type_ == Type::kInt; }
  bool IsFloat() const { return type_ == Type::kFloat; }
  bool IsString() const { return type_ == Type::kString; }
  bool IsList() const { return type_ == Type::kList; }
  bool IsTuple() const { return type_ == Type::kTuple; }
  bool IsDict() const { return type_ == Type::kDict; }
  // Python's int, bool being one.
  bool IsIntegral() const { return IsInt() || IsBool(); }
  bool IsNumber() const {
    return IsIntegral() || IsFloat() || type_ == Type::kBigInt;
  }

  bool AsBool() const { return int_ != 0; }
  int64_t AsInt() const { return int_; }  // of kInt and kBool
  double AsFloat() const { return float_; }
  const StringObject& AsString() const;
  std::string_view Text() const;  // of a string
  // Of kList, kTuple, kView and kIterator.
  const ListObject& AsList() const;
  const DictObject& AsDict() const;
  template <typename T>
  T* As() const {
    return static_cast<T*>(object_);
  }
  // nullptr unless it refers to an object.
  Object* object() const { return has_object_ ? object_ : nullptr; }

 private:
  Value(Type type, int64_t i) : type_(type), int_(i) {}

  Type type_;
  bool has_object_ = false;
  union {
    int64_t int_;
    double float_;
    Object* object_;
  };
};

static_assert(sizeof(void*) <= sizeof(int64_t));

struct StringObject : Object {
  std::string text;             // valid UTF-8
  std::vector<TextSpan> marks;  // what a user typed: sorted, apart, not empty
  bool markup = false;          // Python's markupsafe.Markup
};

// Items of a list, tuple, view or iterator.
struct ListObject : Object {
  std::vector<Value> items;
  uint32_t depth = 1;         // levels of containers below and with this one
  const char* name = "list";  // Python's name of the type
  size_t next = 0;            // of an iterator: what is consumed
};

struct DictObject : Object {
  std::vector<std::pair<Value, Value>> members;  // in order of insertion
  uint32_t depth = 1;

  // nullptr if there is no such key.
  const Value* Find(const Value& key) const;
  const Value* Find(std::string_view key) const;
  void Set(Value key, Value value);  // while it is being built

 private:
  // Index of string keys, once there are more than a few; the views point into
  // the members' own strings.
  std::unordered_map<std::string_view, size_t> index_;
};

struct RangeObject : Object {
  int64_t start = 0, stop = 0, step = 1;
  int64_t size() const;
};

struct UndefinedObject : Object {
  std::string message;  // what using it says
  const char* kind = "UndefinedError";
};

inline const StringObject& Value::AsString() const {
  return *static_cast<const StringObject*>(object_);
}
inline std::string_view Value::Text() const { return AsString().text; }
inline const ListObject& Value::AsList() const {
  return *static_cast<const ListObject*>(object_);
}
inline const DictObject& Value::AsDict() const {
  return *static_cast<const DictObject*>(object_);
}

// Levels of containers; 0 for all else.
uint32_t DepthOf(const Value& value);

// A sequence type with these items: kList, kTuple, kView or kIterator.
Value MakeSequence(Value::Type type, const char* name,
                   std::vector<Value> items);

// Python's name of the type: "str", "dict", "NoneType" ...
const char* TypeName(const Value& value);

// Python's ==.
bool Equal(const Value& a, const Value& b);

// Python's bool().
bool Truthy(const Value& value);

}  // namespace slm::jinja

namespace slm {
// slm::Value is a graph's; this is its name outside of the template engine.
using TemplateValue = jinja::Value;
}  // namespace slm

#endif  // SLM_RUNTIME_TEXT_VALUE_H_
