// Tensor: a dense, row-major array of T on a device; a value without history.
//
// Copying a Tensor copies a handle: both share their elements, as do reshape() and slices of the leading
// dimension. Everything else makes new elements; clone() does so on purpose.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "tenon/backend/cpu/backend.hpp"
#include "tenon/core/derived.hpp"
#include "tenon/core/device.hpp"
#include "tenon/core/random.hpp"
#include "tenon/core/scalar.hpp"
#include "tenon/core/shape.hpp"

namespace tenon {

// A block of a device's memory, given back when the last tensor over it goes.
template <Device D>
class Storage {
 public:
  explicit Storage(std::size_t bytes) : bytes_(bytes), data_(bytes ? Backend<D>::allocate(bytes) : nullptr) {}
  ~Storage() {
    if (data_) Backend<D>::release(data_, bytes_);
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  Derived& derived() { return derived_; }

 private:
  std::size_t bytes_;
  void* data_;
  Derived derived_;
};

template <Scalar T, Device D = Cpu>
class Tensor {
 public:
  using value_type = T;
  using device_type = D;

  // No elements and no storage: what an option that was not given holds. defined() is false.
  Tensor() : shape_{0} {}

  // Elements are not initialised.
  explicit Tensor(const Shape& shape)
      : shape_(shape), numel_(shape.numel()), storage_(std::make_shared<Storage<D>>(bytes(shape))) {}

  // The elements in row-major order; their count must be the shape's.
  Tensor(const Shape& shape, std::initializer_list<T> values) : Tensor(shape, std::span<const T>(values)) {}
  Tensor(const Shape& shape, const std::vector<T>& values) : Tensor(shape, std::span<const T>(values)) {}
  Tensor(const Shape& shape, std::span<const T> values) : Tensor(shape) {
    require<ShapeError>(static_cast<Index>(values.size()) == numel_, "tensor: ", values.size(),
                        " values given for shape ", shape);
    Backend<D>::from_host(values.data(), data(), numel_);
  }

  static Tensor full(const Shape& shape, T value) {
    Tensor out(shape);
    Backend<D>::fill(out.data(), out.numel(), value);
    return out;
  }
  static Tensor zeros(const Shape& shape) { return full(shape, T(0)); }
  static Tensor ones(const Shape& shape) { return full(shape, T(1)); }
  static Tensor scalar(T value) { return full({}, value); }

  // 0, 1, …, count-1.
  static Tensor arange(Index count) {
    std::vector<T> values;
    for (Index i = 0; i < count; ++i) values.push_back(static_cast<T>(i));
    return Tensor({count}, values);
  }

  // Uniform in [low, high): the same numbers on every device.
  static Tensor uniform(const Shape& shape, Rng& rng, double low = 0, double high = 1) {
    Tensor out(shape);
    const RngState state = rng.state();
    Backend<D>::random_uniform(state, rng.reserve_blocks(out.numel()), low, high, out.data(), out.numel());
    return out;
  }

  // Normal with mean 0 and deviation 1.
  static Tensor normal(const Shape& shape, Rng& rng) {
    std::vector<T> values(static_cast<std::size_t>(shape.numel()));
    for (T& v : values) v = static_cast<T>(rng.normal());
    return Tensor(shape, values);
  }

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  Index size(int d) const { return shape_[d]; }
  Index numel() const { return numel_; }

  // Device memory; for Cpu, ordinary memory. Who is given a pointer to write through is taken to write: what was
  // derived from the elements is dropped.
  T* data() {
    if (!storage_) return nullptr;
    storage_->derived().drop();
    return static_cast<T*>(storage_->data()) + offset_;
  }
  const T* data() const { return storage_ ? static_cast<const T*>(storage_->data()) + offset_ : nullptr; }

  // What kernels make of the elements and keep until they are written, null without elements.
  Derived* derived() const { return storage_ ? &storage_->derived() : nullptr; }

  // True when no other tensor shares the elements: writing in place then surprises nobody.
  bool unique() const { return storage_.use_count() == 1; }

  std::span<T> span() & requires std::same_as<D, Cpu> { return {data(), static_cast<std::size_t>(numel_)}; }
  std::span<const T> span() const& requires std::same_as<D, Cpu> {
    return {data(), static_cast<std::size_t>(numel_)};
  }
  // Not of a temporary, whose elements would be gone in the body of `for (T v : f(x).span())`: name it first,
  // or take to_vector().
  std::span<const T> span() const&& = delete;

  // One element by its position in every dimension: x.at({2, 0}).
  T& at(std::initializer_list<Index> position) requires std::same_as<D, Cpu> { return data()[flat(position)]; }
  const T& at(std::initializer_list<Index> position) const requires std::same_as<D, Cpu> {
    return data()[flat(position)];
  }

  // The value of a tensor with one element.
  T item() const {
    require<ShapeError>(numel_ == 1, "item: a tensor of shape ", shape_, " has ", numel_, " elements, expected 1");
    T value{};
    Backend<D>::to_host(data(), &value, 1);
    return value;
  }

  // All elements, on the host.
  std::vector<T> to_vector() const {
    std::vector<T> values(static_cast<std::size_t>(numel_));
    if (numel_ > 0) Backend<D>::to_host(data(), values.data(), numel_);
    return values;
  }

  // The same elements under another shape. One extent may be -1: what is left over.
  Tensor reshape(std::initializer_list<Index> extents) const {
    Index known = 1, free = 0;
    for (const Index e : extents) {
      if (e == -1) ++free;
      else known *= e;
    }
    require<ShapeError>(free <= 1, "reshape: more than one extent is -1");
    require<ShapeError>(free == 0 || (known > 0 && numel_ % known == 0), "reshape: ", shape_, " has ", numel_,
                        " elements, not a multiple of ", known);
    Shape shape;
    for (const Index e : extents) shape.push_back(e == -1 ? numel_ / known : e);
    return reshape(shape);
  }
  Tensor reshape(const Shape& shape) const {
    require<ShapeError>(shape.numel() == numel_, "reshape: ", shape_, " has ", numel_, " elements, ", shape,
                        " would have ", shape.numel());
    Tensor out = *this;
    out.shape_ = shape;
    return out;
  }

  // Rows begin … end-1 of the leading dimension, sharing the elements.
  Tensor rows(Index begin, Index end) const {
    require<ShapeError>(rank() >= 1 && begin >= 0 && begin <= end && end <= size(0), "rows: ", begin, " to ", end,
                        " of shape ", shape_);
    Tensor out = *this;
    out.shape_.set(0, end - begin);
    out.numel_ = out.shape_.numel();
    out.offset_ += size(0) == 0 ? 0 : begin * (numel_ / size(0));
    return out;
  }

  // Row i of the leading dimension, without that dimension, sharing the elements.
  Tensor operator[](Index i) const {
    const Tensor row = rows(i, i + 1);
    Shape shape;
    for (int d = 1; d < rank(); ++d) shape.push_back(size(d));
    return row.reshape(shape);
  }

  Tensor clone() const {
    if (!defined()) return {};
    Tensor out(shape_);
    Backend<D>::copy(data(), out.data(), numel_);
    return out;
  }

  // Elements of another type: value by value.
  template <Scalar U>
  Tensor<U, D> cast() const {
    if constexpr (std::same_as<T, U>) {
      return *this;
    } else {
      if (!defined()) return {};
      Tensor<U, D> out(shape_);
      Backend<D>::convert(data(), out.data(), numel_);
      return out;
    }
  }

  // The same elements on another device.
  template <Device E>
  Tensor<T, E> to() const {
    if constexpr (std::same_as<D, E>) {
      return *this;
    } else if constexpr (std::same_as<E, Cpu>) {
      if (!defined()) return {};
      Tensor<T, Cpu> out(shape_);
      Backend<D>::to_host(data(), out.data(), numel_);
      return out;
    } else {
      if (!defined()) return {};
      Tensor<T, E> out(shape_);
      Backend<E>::from_host(data(), out.data(), numel_);
      return out;
    }
  }

  // Overwrites the elements (and those of every tensor that shares them).
  void fill_(T value) { Backend<D>::fill(data(), numel_, value); }
  void copy_(const Tensor& source) {
    require<ShapeError>(source.shape_ == shape_, "copy_: ", source.shape_, " into ", shape_);
    Backend<D>::copy(source.data(), data(), numel_);
  }

 private:
  static std::size_t bytes(const Shape& shape) {
    const auto count = static_cast<std::size_t>(shape.numel());
    require<ShapeError>(count <= (std::size_t{1} << 62) / sizeof(T), "tensor: shape ", shape, " is too large");
    return count * sizeof(T);
  }

  Index flat(std::initializer_list<Index> position) const {
    require<ShapeError>(static_cast<int>(position.size()) == rank(), "at: ", position.size(),
                        " positions for shape ", shape_);
    Index at = 0;
    int d = 0;
    for (const Index i : position) {
      require<ShapeError>(i >= 0 && i < size(d), "at: position ", i, " in dimension ", d, " of shape ", shape_);
      at = at * size(d++) + i;
    }
    return at;
  }

  Shape shape_;
  Index numel_ = 0;
  Index offset_ = 0;
  std::shared_ptr<Storage<D>> storage_;
};

}  // namespace tenon
