// The decoder library stb_image (Barrett et al., public domain), compiled into a namespace of its own for
// three formats, with memory of its own: what one decode may allocate is bounded, and all of it is freed
// together, also when an exception leaves the decoder.
//
// Its functions are static and its macros are undefined again below, so any number of translation units may
// include this header, and a program may use stb_image itself beside it, compiled in a translation unit of
// its own.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

// What the library includes, so that it finds these already included when it is read inside a namespace.
#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "tenon/core/error.hpp"

namespace tenon::image::detail {

// The blocks of one decode on this thread. While an object of it lives, the library allocates from it; a
// request past the budget gets no memory, which the library reports as a decoding error.
class DecoderMemory {
 public:
  explicit DecoderMemory(std::size_t budget) : left_(budget), outer_(std::exchange(current_, this)) {}
  ~DecoderMemory() {
    for (const auto& [block, bytes] : blocks_) std::free(block);
    current_ = outer_;
  }
  DecoderMemory(const DecoderMemory&) = delete;
  DecoderMemory& operator=(const DecoderMemory&) = delete;

  static void* allocate(std::size_t bytes) { return current_->take(bytes); }
  static void release(void* block) { current_->give_back(block); }

  static void* resize(void* block, std::size_t old_bytes, std::size_t bytes) {
    void* larger = current_->take(bytes);
    if (larger && block) {
      std::memcpy(larger, block, old_bytes < bytes ? old_bytes : bytes);
      current_->give_back(block);
    }
    return larger;
  }

 private:
  void* take(std::size_t bytes) {
    if (bytes > left_) return nullptr;
    blocks_.reserve(blocks_.size() + 1);
    void* block =
        std::calloc(1, bytes ? bytes : 1);  // zeros, so that a damaged file decodes the same every time
    if (!block) return nullptr;
    blocks_.emplace_back(block, bytes);
    left_ -= bytes;
    return block;
  }

  void give_back(void* block) {
    for (auto& entry : blocks_) {
      if (entry.first != block) continue;
      std::free(block);
      left_ += entry.second;
      entry = blocks_.back();
      blocks_.pop_back();
      return;
    }
  }

  std::size_t left_;
  std::vector<std::pair<void*, std::size_t>> blocks_;
  DecoderMemory* outer_;
  inline static thread_local DecoderMemory* current_ = nullptr;
};

inline void decoder_assert(bool condition, const char* what) {
  require<FileError>(condition, "the decoder's check failed: ", what);
}

}  // namespace tenon::image::detail

#pragma push_macro("STBI_INCLUDE_STB_IMAGE_H")
#pragma push_macro("STB_IMAGE_IMPLEMENTATION")
#pragma push_macro("STBIDEF")
#undef STBI_INCLUDE_STB_IMAGE_H
#undef STB_IMAGE_IMPLEMENTATION
#undef STBIDEF

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_ASSERT(x) tenon::image::detail::decoder_assert(static_cast<bool>(x), #x)
#define STBI_MALLOC(bytes) tenon::image::detail::DecoderMemory::allocate(bytes)
#define STBI_REALLOC_SIZED(block, old_bytes, bytes) \
  tenon::image::detail::DecoderMemory::resize(block, old_bytes, bytes)
#define STBI_FREE(block) tenon::image::detail::DecoderMemory::release(block)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
namespace tenon::image::stb {
using ::abs;  // tenon::abs, of tensors, would hide it
// An empty chunk of a PNG makes the library copy no bytes to a null pointer, which std::memcpy does not allow.
inline void* memcpy(void* to, const void* from, std::size_t bytes) {
  return bytes == 0 ? to : std::memcpy(to, from, bytes);
}
#include <stb/stb_image.h>
}  // namespace tenon::image::stb
#pragma GCC diagnostic pop

#undef STB_IMAGE_IMPLEMENTATION
#undef STB_IMAGE_STATIC
#undef STBI_ONLY_JPEG
#undef STBI_ONLY_PNG
#undef STBI_ONLY_BMP
#undef STBI_NO_STDIO
#undef STBI_NO_LINEAR
#undef STBI_ASSERT
#undef STBI_MALLOC
#undef STBI_REALLOC_SIZED
#undef STBI_FREE
#undef STBI_INCLUDE_STB_IMAGE_H
#undef STBIDEF
// What the library itself leaves defined.
#undef STBI__BYTECAST
#undef STBI__COMBO
#undef stbi__de_iphone_flag
#undef stbi__div16
#undef stbi__div4
#undef stbi__DNL
#undef stbi__EOI
#undef stbi__err
#undef stbi__errpf
#undef stbi__errpuc
#undef stbi__f2f
#undef stbi__float2fixed
#undef stbi__fsh
#undef STBI__IDCT_1D
#undef STBI__MARKER_none
#undef STBI__PNG_TYPE
#undef STBI__RESTART
#undef stbi__SOF
#undef stbi__SOF_progressive
#undef stbi__SOI
#undef stbi__SOS
#undef stbi__unpremultiply_on_load
#undef stbi__vertically_flip_on_load
#undef STBI__X64_TARGET
#undef STBI__ZFAST_BITS
#undef STBI__ZFAST_MASK
#undef STBI__ZNSYMS
#undef STBI_EXTERN
#undef stbi_inline
#undef stbi_lrot
#undef STBI_MAX_DIMENSIONS
#undef STBI_NO_GIF
#undef STBI_NO_HDR
#undef STBI_NO_PIC
#undef STBI_NO_PNM
#undef STBI_NO_PSD
#undef STBI_NO_TGA
#undef STBI_NOTUSED
#undef STBI_SIMD_ALIGN
#undef STBI_SSE2
#undef STBI_THREAD_LOCAL
#undef STBI_VERSION
#undef STBI_NEON
#undef STBI_HAS_LROTL
#undef STBI__X86_TARGET
#undef STBI_NO_SIMD
#pragma pop_macro("STBIDEF")
#pragma pop_macro("STB_IMAGE_IMPLEMENTATION")
#pragma pop_macro("STBI_INCLUDE_STB_IMAGE_H")
