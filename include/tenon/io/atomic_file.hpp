// Whole files: read at once under a limit, and written so that a file appears complete or not at all.
//
// A new file is built under a temporary name in the folder of its target and takes the target's name by
// rename(2), which POSIX makes atomic within one file system. Whoever reads the target sees the old bytes or
// the new ones; an interrupted or failed write leaves the old file as it was.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "tenon/core/error.hpp"

namespace tenon::io {

namespace detail {

// FileError "path: what: reason", the reason being the system's text for `code`.
[[noreturn]] inline void file_failure(const std::filesystem::path& path, std::string_view what, int code) {
  fail<FileError>(path.string(), ": ", what, ": ", std::generic_category().message(code));
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using FileHandle = std::unique_ptr<std::FILE, CloseFile>;

}  // namespace detail

// Makes the folder and those above it; nothing happens if it is there. FileError if it cannot be made.
inline void ensure_directory(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error && !std::filesystem::is_directory(path, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  require<FileError>(!error, path.string(), ": cannot make the folder: ", error.message());
}

// The bytes of a file. FileError if it cannot be read or holds more than `max_bytes`; the size that the
// system states is a hint only, so devices and growing files stay within the limit too.
inline std::string read_file(const std::filesystem::path& path,
                             std::size_t max_bytes = std::size_t{1} << 30) {
  const detail::FileHandle file(std::fopen(path.c_str(), "rbe"));
  if (!file) detail::file_failure(path, "cannot open", errno);

  std::string bytes;
  struct stat status {};
  if (fstat(fileno(file.get()), &status) == 0 && S_ISREG(status.st_mode)) {
    const auto size = static_cast<std::size_t>(status.st_size);
    require<FileError>(size <= max_bytes, path.string(), ": ", size, " bytes, at most ", max_bytes,
                       " are accepted");
    bytes.reserve(size);
  }
  char block[1 << 16];
  for (;;) {
    const std::size_t count = std::fread(block, 1, sizeof block, file.get());
    if (count == 0) break;
    require<FileError>(count <= max_bytes - bytes.size(), path.string(), ": more than ", max_bytes,
                       " bytes, which is the limit");
    bytes.append(block, count);
  }
  if (std::ferror(file.get())) detail::file_failure(path, "cannot read", errno);
  return bytes;
}

struct AtomicFileOptions {
  bool sync = false;  // wait until the bytes and the new name are on the disk: slower, survives a power cut
};

// A file in the making. Write to it, then commit(); destroyed before that, it leaves nothing behind.
class AtomicFile {
 public:
  // The folder of `path` must exist. FileError if the temporary file cannot be made.
  explicit AtomicFile(std::filesystem::path path, AtomicFileOptions options = {})
      : path_(std::move(path)), options_(options) {
    static std::atomic<unsigned> serial{0};
    int descriptor = -1;
    do {  // a leftover of a killed process with the same number is stepped over
      temporary_ = folder() / text(".tenon-", getpid(), "-", serial++, ".tmp");
      descriptor = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (descriptor < 0 && errno == EEXIST);
    if (descriptor < 0) detail::file_failure(path_, "cannot write", errno);
    file_.reset(fdopen(descriptor, "wb"));
    if (!file_) {
      const int code = errno;
      close(descriptor);
      unlink(temporary_.c_str());
      detail::file_failure(path_, "cannot write", code);
    }
  }

  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  ~AtomicFile() { discard(); }

  // The name the file will have.
  const std::filesystem::path& path() const { return path_; }

  void write(std::string_view bytes) {
    require<FileError>(file_ != nullptr, path_.string(), ": written to after commit");
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) {
      detail::file_failure(path_, "cannot write", errno);
    }
  }
  void write(std::span<const std::byte> bytes) {
    write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  // Gives the file its name, replacing a file that has it. FileError if the bytes cannot be stored.
  void commit() {
    require<FileError>(file_ != nullptr, path_.string(), ": committed twice");
    if (std::fflush(file_.get()) != 0 || (options_.sync && fsync(fileno(file_.get())) != 0)) give_up();
    if (std::fclose(file_.release()) != 0) give_up();
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) give_up();
    temporary_.clear();
    if (options_.sync) sync_folder();
  }

 private:
  std::filesystem::path folder() const { return path_.has_parent_path() ? path_.parent_path() : "."; }

  void discard() noexcept {
    file_.reset();
    if (!temporary_.empty()) unlink(temporary_.c_str());
    temporary_.clear();
  }

  [[noreturn]] void give_up() {
    const int code = errno;
    discard();
    detail::file_failure(path_, "cannot write", code);
  }

  void sync_folder() const {
    const int descriptor = open(folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;  // a folder may be writable but not readable
    fsync(descriptor);           // some file systems refuse this for folders; the bytes themselves are safe
    close(descriptor);
  }

  std::filesystem::path path_, temporary_;
  AtomicFileOptions options_;
  detail::FileHandle file_;
};

// Writes a whole file, atomically.
inline void write_file(const std::filesystem::path& path, std::string_view bytes,
                       AtomicFileOptions options = {}) {
  AtomicFile file(path, options);
  file.write(bytes);
  file.commit();
}

}  // namespace tenon::io
