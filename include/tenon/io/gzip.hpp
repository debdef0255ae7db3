// Compressed bytes: gzip (RFC 1952) and raw deflate (RFC 1951), with a bound on what they unpack to, since a
// few bytes can stand for gigabytes. The only header that includes zlib.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "tenon/core/error.hpp"

namespace tenon::io {

// By the first two bytes.
inline bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1F\x8B"); }

namespace detail {

// zlib's stream over `bytes`. window_bits as zlib takes it: 15 + 16 for gzip, -15 for raw deflate.
class Inflater {
 public:
  Inflater(std::string_view bytes, std::string_view name, int window_bits) : bytes_(bytes), name_(name) {
    require<Error>(inflateInit2(&stream_, window_bits) == Z_OK, name, ": zlib cannot start");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  std::size_t position() const { return at_ - stream_.avail_in; }
  void next_member() { inflateReset(&stream_); }

  // Appends one compressed stream to `out`, which may not grow past max_size.
  void unpack(std::string& out, std::size_t max_size) {
    for (;;) {
      if (stream_.avail_in == 0) feed();
      unsigned char block[1 << 15];
      stream_.next_out = block;
      stream_.avail_out = sizeof block;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      const std::size_t made = sizeof block - stream_.avail_out;
      require<FileError>(made <= max_size - out.size(), name_, ": unpacks to more than ", max_size,
                         " bytes, which is the limit");
      out.append(reinterpret_cast<const char*>(block), made);
      if (status == Z_STREAM_END) return;
      if (status == Z_OK || (status == Z_BUF_ERROR && position() < bytes_.size())) continue;
      require<FileError>(status != Z_BUF_ERROR, name_, ": byte ", position(),
                         ": the compressed data end early");
      fail<FileError>(name_, ": byte ", position(), ": damaged compressed data (",
                      stream_.msg ? stream_.msg : "unknown reason", ")");
    }
  }

 private:
  void feed() {  // in pieces, as zlib counts in 32 bits
    const std::size_t count = std::min<std::size_t>(bytes_.size() - at_, std::size_t{1} << 30);
    stream_.next_in = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes_.data()) + at_);
    stream_.avail_in = static_cast<uInt>(count);
    at_ += count;
  }

  std::string_view bytes_, name_;
  std::size_t at_ = 0;  // bytes handed to zlib
  z_stream stream_{};
};

}  // namespace detail

// The contents of a gzip file held in memory: one member or several in a row, zeros after them allowed.
// FileError, opened by `name`, if it is damaged or unpacks to more than max_size bytes.
inline std::string gunzip(std::string_view bytes, std::size_t max_size, std::string_view name) {
  require<FileError>(is_gzip(bytes), name, ": byte 0: not a gzip file");
  detail::Inflater inflater(bytes, name, 15 + 16);
  std::string out;
  for (;;) {
    inflater.unpack(out, max_size);
    const std::string_view rest = bytes.substr(inflater.position());
    if (rest.find_first_not_of('\0') == rest.npos) return out;
    require<FileError>(is_gzip(rest), name, ": byte ", inflater.position(), ": ", rest.size(),
                       " bytes after the end that are not gzip");
    inflater.next_member();
  }
}

// A raw deflate stream that must unpack to exactly `size` bytes, as zip entries hold.
inline std::string inflate_raw(std::string_view bytes, std::size_t size, std::string_view name) {
  detail::Inflater inflater(bytes, name, -15);
  std::string out;
  inflater.unpack(out, size);
  require<FileError>(out.size() == size, name, ": unpacks to ", out.size(), " bytes, expected ", size);
  return out;
}

// The bytes as a gzip file.
inline std::string gzip(std::string_view bytes) {
  z_stream stream{};
  require<Error>(
      deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK,
      "gzip: zlib cannot start");
  std::string out;
  std::size_t at = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    unsigned char block[1 << 15];
    const std::size_t count = std::min<std::size_t>(bytes.size() - at, std::size_t{1} << 30);
    stream.next_in = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()) + at);
    stream.avail_in = static_cast<uInt>(count);
    stream.next_out = block;
    stream.avail_out = sizeof block;
    status = deflate(&stream, at + count == bytes.size() ? Z_FINISH : Z_NO_FLUSH);
    at += count - stream.avail_in;
    out.append(reinterpret_cast<const char*>(block), sizeof block - stream.avail_out);
  }
  deflateEnd(&stream);
  require<Error>(status == Z_STREAM_END, "gzip: zlib failed");
  return out;
}

}  // namespace tenon::io
