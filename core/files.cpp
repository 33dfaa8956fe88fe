#include "core/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

namespace heed {
namespace fs = std::filesystem;
namespace {

// " (did you mean 'dir/near'?)" from the names in the directory of a path that does not exist.
std::string suggest_path(const fs::path& path) {
  std::vector<std::string> names;
  std::error_code stop;
  const fs::path parent = path.parent_path();
  for (fs::directory_iterator it(parent.empty() ? "." : parent, stop), end; !stop && it != end;
       it.increment(stop)) {
    names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  const std::string name = nearest(path.filename().string(), names);
  return name.empty() ? "" : fmt::format(" (did you mean '{}'?)", (parent / name).string());
}

// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return value_; }

 private:
  int value_;
};

// Opens for reading; *size is a regular file's size and 0 for anything else.
int open_to_read(const std::string& path, size_t* size) {
  struct stat info {};
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  int error = descriptor < 0 ? errno : 0;
  if (error == 0 && ::fstat(descriptor, &info) != 0) error = errno;
  if (error == 0 && S_ISDIR(info.st_mode)) error = EISDIR;
  if (error != 0) {
    if (descriptor >= 0) ::close(descriptor);
    fail_request("cannot read '{}': {}{}", path, std::strerror(error),
                 error == ENOENT ? suggest_path(path) : "");
  }
  *size = S_ISREG(info.st_mode) ? static_cast<size_t>(info.st_size) : 0;
  return descriptor;
}

std::string directory_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

std::string read_file(const std::string& path) {
  size_t size = 0;
  const Descriptor file(open_to_read(path, &size));
  std::string text;
  constexpr size_t kChunk = size_t{64} << 10;
  for (size_t used = 0;;) {
    // One byte beyond the size, so that the end is seen without another round.
    text.resize(std::max(size + 1, used + kChunk));
    const ssize_t got = ::read(file, text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read '{}': {}", path, std::strerror(errno));
    used += static_cast<size_t>(got);
    if (got == 0) {
      text.resize(used);
      return text;
    }
  }
}

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  struct stat info {};
  const bool exists = ::stat(path.c_str(), &info) == 0;
  if (exists && !S_ISREG(info.st_mode)) {
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    static std::atomic<int> counter{0};
    temporary_ = fmt::format("{}.tmp-{}-{}", path, ::getpid(), counter++);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  }
  if (descriptor_ < 0) {
    const int error = errno;
    const std::string directory = directory_of(path);
    const bool no_directory = error == ENOENT && !fs::exists(directory);
    fail_request("cannot write '{}': {}{}", path, std::strerror(error),
                 no_directory ? suggest_path(directory) : "");
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail_writing(int error) const {
  fail("cannot write '{}': {}", path_, std::strerror(error));
}

void AtomicFile::write(const void* data, size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, from, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_writing(errno);
    from += written;
    bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  HEED_CHECK(descriptor_ >= 0, "'{}' was committed twice", path_);
  if (!temporary_.empty() && ::fsync(descriptor_) != 0) fail_writing(errno);
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (temporary_.empty()) {
    if (closed != 0) fail_writing(errno);
    return;
  }
  if (closed != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    fail_writing(error);
  }
  sync_path(directory_of(path_));
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void sync_path(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // File systems that cannot sync a directory say EINVAL; there is nothing more to do then.
  if (file < 0 || (::fsync(file) != 0 && errno != EINVAL)) {
    fail("cannot sync '{}': {}", path, std::strerror(errno));
  }
}

void rename_durably(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    fail("cannot rename '{}' to '{}': {}", from, to, std::strerror(errno));
  }
  sync_path(directory_of(to));
}

void make_directories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !fs::is_directory(path)) error = std::make_error_code(std::errc::not_a_directory);
  if (error) fail_request("cannot create the directory '{}': {}", path, error.message());
}

void remove_tree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail("cannot remove '{}': {}", path, error.message());
}

std::string format_bytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes > -1024 && bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.95 would print as 1024.0.
  while (std::abs(value) >= 1023.95 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

MappedFile::MappedFile(const std::string& path) {
  const Descriptor file(open_to_read(path, &size_));
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  if (data == MAP_FAILED) fail("cannot map '{}': {}", path, std::strerror(errno));
  data_ = static_cast<std::byte*>(data);
}

void MappedFile::release(std::span<const std::byte> bytes) const {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const auto first = static_cast<size_t>(bytes.data() - data_);
  const size_t begin = (first + page - 1) / page * page;
  const size_t end = first + bytes.size() == size_ ? size_ : (first + bytes.size()) / page * page;
  if (begin < end) ::madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace heed
