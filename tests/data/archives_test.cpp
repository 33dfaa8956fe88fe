#include "tests/data/archives.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "core/error.h"
#include "data/tar.h"
#include "data/zip.h"

namespace heed::data {
namespace {

using testing::HasSubstr;

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

std::string tar_error(std::string archive) {
  return error_of([&] { index_tar(as_bytes_of(archive), "a.tar"); });
}

TEST(Tar, ListsRegularFilesInOrder) {
  std::string archive = tar_member("d/", "", '5') + tar_member("d/one.txt", "first") +
                        tar_member("link", "", '2') + tar_member("empty", "") +
                        tar_member("two", std::string(513, 'x')) + tar_end();
  const auto members = index_tar(as_bytes_of(archive), "a.tar");
  ASSERT_EQ(members.size(), 3u);
  EXPECT_EQ(members[0].name, "d/one.txt");
  EXPECT_EQ(archive.substr(static_cast<size_t>(members[0].offset), 5), "first");
  EXPECT_EQ(members[1].size, 0);
  EXPECT_EQ(members[2].size, 513);
}

TEST(Tar, ReadsLongNamesOfGnuAndPax) {
  const std::string longest(300, 'n'), record = " path=" + longest + "\n";
  std::string archive = tar_member("././@LongLink", longest + '\0', 'L') + tar_member("cut", "1") +
                        tar_member("pax", std::to_string(record.size() + 3) + record, 'x') +
                        tar_member("cut", "2") + tar_member("short", "3") + tar_end();
  const auto members = index_tar(as_bytes_of(archive), "a.tar");
  ASSERT_EQ(members.size(), 3u);
  EXPECT_EQ(members[0].name, longest);
  EXPECT_EQ(members[1].name, longest);
  EXPECT_EQ(members[2].name, "short");
}

TEST(Tar, RefusesWhatIsDamaged) {
  const std::string good = tar_member("a", "content");
  EXPECT_THAT(tar_error(good), HasSubstr("a.tar: byte 1024: the archive ends without its end"));
  EXPECT_THAT(tar_error(good.substr(0, 700)), HasSubstr("within a member"));
  EXPECT_THAT(tar_error(good.substr(0, 300)), HasSubstr("within a header"));
  std::string changed = good + tar_end();
  changed[3] = 'b';
  EXPECT_THAT(tar_error(changed), HasSubstr("byte 0: the header's checksum"));
  EXPECT_THAT(tar_error(tar_member("a", "x", '0', "77777777777") + tar_end()),
              HasSubstr("a member of 8589934591 bytes"));
  EXPECT_THAT(tar_error(tar_member("a", "x", '0', "1234567890z") + tar_end()),
              HasSubstr("no octal number"));
  EXPECT_THAT(tar_error(tar_member("s", "", 'S') + tar_end()), HasSubstr("sparse"));
  EXPECT_THAT(tar_error(tar_member("p", "99 path=x\n", 'x') + tar_end()), HasSubstr("pax record"));
}

TEST(Tar, RefusesNamesThatLeaveTheArchive) {
  for (const char* name : {"/etc/passwd", "../up", "a/../../up", "a/.."}) {
    EXPECT_THAT(tar_error(tar_of({{name, "x"}})), HasSubstr("leaves the archive")) << name;
  }
  std::string harmless = tar_of({{"a..b/..c", "x"}});
  EXPECT_EQ(index_tar(as_bytes_of(harmless), "a.tar").size(), 1u);
}

TEST(Zip, StoredAndDeflatedMembersComeBack) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(i * i);
  for (const bool deflate_them : {false, true}) {
    std::string archive = zip_of({{"a.npy", text}, {"empty", ""}}, deflate_them);
    const auto members = index_zip(as_bytes_of(archive), "a.zip");
    ASSERT_EQ(members.size(), 2u);
    EXPECT_EQ(members[0].name, "a.npy");
    const auto content = read_zip_member(as_bytes_of(archive), members[0], "a.zip");
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(content.data()), content.size()), text);
    EXPECT_TRUE(read_zip_member(as_bytes_of(archive), members[1], "a.zip").empty());
  }
}

TEST(Zip, RefusesWhatIsDamaged) {
  const auto read = [](std::string archive) {
    return error_of([&] {
      for (const ZipMember& member : index_zip(as_bytes_of(archive), "a.zip")) {
        read_zip_member(as_bytes_of(archive), member, "a.zip");
      }
    });
  };
  const std::string good = zip_of({{"a", std::string(1000, 'x')}}, true);
  EXPECT_EQ(read(good), "(no error)");
  EXPECT_THAT(read(good.substr(0, good.size() - 1)), HasSubstr("no directory at its end"));
  EXPECT_THAT(read("PK"), HasSubstr("too short"));
  std::string flipped = good;
  flipped[33] = static_cast<char>(flipped[33] ^ 0x10);
  EXPECT_THAT(read(flipped), HasSubstr("a.zip: byte 31: 'a'"));
  // No single byte that is changed may crash the reader or go unseen and alter the content.
  for (size_t i = 0; i < good.size(); ++i) {
    std::string changed = good;
    changed[i] = static_cast<char>(changed[i] ^ 0xff);
    try {
      for (const ZipMember& member : index_zip(as_bytes_of(changed), "a.zip")) {
        const auto content = read_zip_member(as_bytes_of(changed), member, "a.zip");
        EXPECT_EQ(std::string(reinterpret_cast<const char*>(content.data()), content.size()),
                  std::string(1000, 'x'))
            << "byte " << i;
      }
    } catch (const RequestError&) {
    }
  }
}

}  // namespace
}  // namespace heed::data
