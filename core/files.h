// Files: whole reads, atomic writes, memory maps, patterns.
//
// What cannot be opened (missing, forbidden, a directory) is a RequestError; what fails while it is
// being read or written (a full disk) is an Error. Both name the path and the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace heed {

/// The file's bytes. A missing file's message suggests the nearest name in its directory.
std::string read_file(const std::string& path);

/// A file that appears under its name only when it is complete: bytes go to a temporary file beside
/// it, and commit() syncs that to disk and renames it. Without commit() nothing is left behind.
/// What is there and not a regular file (a pipe, /dev/stdout) is written directly.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  [[noreturn]] void fail_writing(int error) const;

  std::string path_;
  std::string temporary_;  // empty when written directly
  int descriptor_ = -1;
};

/// AtomicFile in one call.
void write_file_atomically(const std::string& path, std::string_view bytes);

/// Flushes a file's or directory's content to the disk.
void sync_path(const std::string& path);

/// Renames a file or folder within a file system and syncs the directory: after a crash either the
/// old or the new name is there. An existing file is replaced, a non-empty folder is an Error.
void rename_durably(const std::string& from, const std::string& to);

/// Creates a directory and what is missing above it; one that exists is fine.
void make_directories(const std::string& path);

/// Removes a file or a folder with all it holds; one that does not exist is fine.
void remove_tree(const std::string& path);

/// The regular files that a pattern names, sorted by name: `*`, `?`, `[a-z]` as in a shell, and the
/// component `**` for any depth of directories (hidden ones are left out). A path to a file stands
/// for itself. Empty when nothing matches.
std::vector<std::string> expand_files(const std::string& pattern);

/// "17 B", "1.5 KiB", "2.0 GiB".
std::string format_bytes(int64_t bytes);

/// A file's bytes in memory, read page by page as they are touched. Writes to the memory stay
/// private to this process and never reach the file. The file may be renamed or removed meanwhile;
/// one that is cut short by others while it is mapped ends the process, as for every mapping.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<std::byte> bytes() const { return {data_, size_}; }
  /// Gives the memory of these bytes back, as far as they fill whole pages; they are read from the
  /// file again when touched. What this process wrote there is lost.
  void release(std::span<const std::byte> bytes) const;

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace heed
