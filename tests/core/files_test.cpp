#include "core/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/checksum.h"
#include "tests/core/raises.h"
#include "tests/core/temp_folder.h"

namespace heed {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = temp_folder() + test->name() + "/";
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(dir_)) out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }
  std::vector<std::string> expanded(const std::string& pattern) const {
    std::vector<std::string> out = expand_files(dir_ + pattern);
    for (std::string& path : out) path.erase(0, dir_.size());
    return out;
  }

  std::string dir_;
};

TEST_F(Files, WholeFilesComeBack) {
  for (size_t size : {0, 1, 65535, 65536, 65537, 300000}) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7);
    write_file_atomically(dir_ + "x", bytes);
    EXPECT_EQ(read_file(dir_ + "x"), bytes);
    const MappedFile mapped(dir_ + "x");
    const char* begin = reinterpret_cast<const char*>(mapped.bytes().data());
    EXPECT_EQ(std::string(begin, begin + mapped.bytes().size()), bytes);
  }
  EXPECT_GT(read_file("/proc/self/status").size(), 100u);  // its size is said to be 0
}

TEST_F(Files, AnUncommittedFileLeavesTheOldOne) {
  write_file_atomically(dir_ + "x", "old");
  {
    AtomicFile file(dir_ + "x");
    file.write("new");
    EXPECT_EQ(read_file(dir_ + "x"), "old");
  }
  EXPECT_EQ(names(), (std::vector<std::string>{"x"}));
  EXPECT_EQ(read_file(dir_ + "x"), "old");
  AtomicFile file(dir_ + "x");
  file.write("new");
  file.commit();
  EXPECT_EQ(read_file(dir_ + "x"), "new");
  EXPECT_EQ(names(), (std::vector<std::string>{"x"}));
  EXPECT_THROW(file.commit(), Error);
}

TEST_F(Files, DevicesAreWrittenDirectly) {
  write_file_atomically("/dev/null", "gone");
  struct stat info {};
  ASSERT_EQ(stat("/dev/null", &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode));
}

TEST_F(Files, ErrorsNameThePathAndTheReason) {
  EXPECT_EQ(request_error([&] { read_file(dir_ + "none"); }),
            "cannot read '" + dir_ + "none': No such file or directory");
  EXPECT_THAT(request_error([&] { MappedFile map(dir_); }), HasSubstr("Is a directory"));
  EXPECT_THAT(request_error([&] { write_file_atomically(dir_ + "no/x", ""); }),
              HasSubstr("cannot write '" + dir_ + "no/x': No such file or directory"));
  EXPECT_THAT(request_error([&] { write_file_atomically(dir_, ""); }), HasSubstr("directory"));
  write_file_atomically(dir_ + "file", "");
  EXPECT_THAT(request_error([&] { make_directories(dir_ + "file"); }),
              HasSubstr("Not a directory"));
  EXPECT_THAT(request_error([&] { make_directories(dir_ + "file/x"); }),
              HasSubstr("Not a directory"));
  EXPECT_THROW(rename_durably(dir_ + "none", dir_ + "other"), Error);
  if (fs::exists("/dev/full")) {
    EXPECT_THROW(write_file_atomically("/dev/full", "x"), Error);
  }
}

TEST_F(Files, MappedWritesStayPrivate) {
  write_file_atomically(dir_ + "x", "abc");
  const MappedFile mapped(dir_ + "x");
  mapped.bytes()[0] = std::byte{'z'};
  EXPECT_EQ(read_file(dir_ + "x"), "abc");
  fs::remove(dir_ + "x");
  EXPECT_EQ(mapped.bytes()[2], std::byte{'c'});
}

TEST_F(Files, PatternsExpandSorted) {
  for (const char* path : {"a/b/c", "a/.hidden", "d[1]"}) make_directories(dir_ + path);
  for (const char* path : {"b.txt", "a.txt", "a.md", "a/c.txt", "a/b/d.txt", "a/b/c/e.txt",
                           "a/.hidden/f.txt", "d[1]/g.txt", "d[1]/h.md"}) {
    write_file_atomically(dir_ + path, path);
  }
  using Names = std::vector<std::string>;
  EXPECT_EQ(expanded("a.txt"), (Names{"a.txt"}));
  EXPECT_EQ(expanded("*.txt"), (Names{"a.txt", "b.txt"}));
  EXPECT_EQ(expanded("?.[mt]*"), (Names{"a.md", "a.txt", "b.txt"}));
  EXPECT_EQ(expanded("**/*.txt"),
            (Names{"a.txt", "a/b/c/e.txt", "a/b/d.txt", "a/c.txt", "b.txt", "d[1]/g.txt"}));
  EXPECT_EQ(expanded("a/**/b/**/*.txt"), (Names{"a/b/c/e.txt", "a/b/d.txt"}));
  EXPECT_EQ(expanded("a/**"), (Names{"a/b/c/e.txt", "a/b/d.txt", "a/c.txt"}));
  EXPECT_EQ(expanded("d[1]/g.txt"), (Names{"d[1]/g.txt"}));
  EXPECT_EQ(expanded("*.zip"), Names{});
  EXPECT_EQ(expanded("none.txt"), Names{});
  EXPECT_EQ(expanded("a"), Names{});
}

TEST_F(Files, TreesAreRenamedAndRemoved) {
  make_directories(dir_ + "a/b");
  write_file_atomically(dir_ + "a/b/x", "1");
  rename_durably(dir_ + "a", dir_ + "z");
  EXPECT_EQ(read_file(dir_ + "z/b/x"), "1");
  remove_tree(dir_ + "z");
  remove_tree(dir_ + "z");
  EXPECT_TRUE(names().empty());
}

TEST(FormatBytes, PicksTheUnit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(int64_t{3} << 30), "3.0 GiB");
  EXPECT_EQ(format_bytes(std::numeric_limits<int64_t>::max()), "8.0 EiB");
  EXPECT_EQ(format_bytes(-2048), "-2.0 KiB");
}

// FIPS 180-4's examples.
TEST(Sha256, EqualsTheStandardsExamples) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 sum;
  for (int i = 0; i < 1000; ++i) sum.update(std::string(1000, 'a').data(), 1000);
  EXPECT_EQ(sum.finish(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  const std::string path = temp_folder() + "sha";
  write_file_atomically(path, "abc");
  EXPECT_EQ(sha256_file(path), sha256("abc"));
}

}  // namespace
}  // namespace heed
