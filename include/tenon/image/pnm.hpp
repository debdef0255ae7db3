// PNM pictures (netpbm): gray P2 and P5, colour P3 and P6, plain or binary, samples of 8 or 16 bits.
//
//   P6 <width> <height> <maxval> <one white space> samples; '#' starts a comment in the header.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

#include "tenon/core/error.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::image::detail {

class PnmReader {
 public:
  PnmReader(std::string_view bytes, std::string_view name) : bytes_(bytes), name_(name) {
    plain_ = bytes.starts_with("P2") || bytes.starts_with("P3");
    channels_ = bytes.starts_with("P3") || bytes.starts_with("P6") ? 3 : 1;
    width_ = number("width");
    height_ = number("height");
    maximum_ = number("maximum");
    if (width_ == 0 || height_ == 0) refuse("its size is ", width_, "×", height_, " pixels");
    if (maximum_ < 1 || maximum_ > 65535)
      refuse("damaged PNM (maximum is ", maximum_, ", expected 1 to 65535)");
    if (!plain_) ++at_;  // the one white space after the maximum
  }

  Index width() const { return width_; }
  Index height() const { return height_; }

  // (H,W,1) or (H,W,3); the caller has checked the size. Samples are scaled so that the maximum becomes 255,
  // or 1 if T is float.
  template <class T>
  Tensor<T> pixels() {
    const Index count = width_ * height_ * channels_;
    const Index least = plain_           ? 2 * count - 1
                        : maximum_ > 255 ? 2 * count
                                         : count;  // digits and gaps between
    if (at_ > bytes_.size() || least > static_cast<Index>(bytes_.size() - at_)) {
      refuse("the file ends before the picture does");
    }
    Tensor<T> image({height_, width_, channels_});
    for (T& pixel : image.span()) {
      const Index sample = std::min(plain_ ? number("a sample") : binary_sample(), maximum_);
      if constexpr (std::is_same_v<T, float>)
        pixel = static_cast<float>(sample) / static_cast<float>(maximum_);
      else
        pixel = static_cast<T>((sample * 255 + maximum_ / 2) / maximum_);
    }
    return image;
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... reason) const {
    fail<FileError>("cannot decode ", name_, ": ", reason...);
  }

  static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

  // The next decimal number, after white space and comments.
  Index number(const char* what) {
    while (at_ < bytes_.size() && (is_space(bytes_[at_]) || bytes_[at_] == '#')) {
      if (bytes_[at_] == '#') {
        while (at_ < bytes_.size() && bytes_[at_] != '\n') ++at_;
      } else {
        ++at_;
      }
    }
    if (at_ >= bytes_.size()) refuse("the file ends before the picture does");
    Index value = -1;
    for (; at_ < bytes_.size() && bytes_[at_] >= '0' && bytes_[at_] <= '9'; ++at_) {
      value = (value < 0 ? 0 : value) * 10 + (bytes_[at_] - '0');
      if (value > std::numeric_limits<std::int32_t>::max()) {
        refuse("damaged PNM (", what, " at byte ", at_, " is too large)");
      }
    }
    if (value < 0) refuse("damaged PNM (no number at byte ", at_, " for ", what, ")");
    return value;
  }

  Index binary_sample() {
    Index sample = static_cast<unsigned char>(bytes_[at_++]);
    if (maximum_ > 255) sample = sample * 256 + static_cast<unsigned char>(bytes_[at_++]);
    return sample;
  }

  std::string_view bytes_, name_;
  std::size_t at_ = 2;
  bool plain_;
  Index channels_, width_ = 0, height_ = 0, maximum_ = 0;
};

}  // namespace tenon::image::detail
