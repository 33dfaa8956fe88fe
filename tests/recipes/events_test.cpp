#include "recipes/engine/events.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "core/error.h"
#include "recipes/engine/events.pb.h"
#include "tests/recipes/scratch.h"

namespace heed::recipes {
namespace {

TEST(Crc32c, KnownValues) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);            // the check value of the polynomial
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43u);
}

/// Reads a TFRecord file by its definition; fails the test on a wrong sum.
std::vector<proto::Event> read_events(const std::string& path) {
  const std::string bytes = slurp(path);
  const auto number = [&](size_t at, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i) {
      value |= uint64_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
    }
    return value;
  };
  const auto masked = [](std::string_view text) {
    const uint32_t crc = crc32c(text);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  };
  std::vector<proto::Event> events;
  for (size_t at = 0; at < bytes.size();) {
    const uint64_t length = number(at, 8);
    EXPECT_EQ(number(at + 8, 4), masked(bytes.substr(at, 8)));
    const std::string payload = bytes.substr(at + 12, length);
    EXPECT_EQ(number(at + 12 + length, 4), masked(payload));
    events.emplace_back();
    EXPECT_TRUE(events.back().ParseFromString(payload));
    at += length + 16;
  }
  return events;
}

TEST(EventWriter, WritesVersionScalarsAndText) {
  const Scratch folder;
  EventWriter writer(folder.path());
  writer.scalar("train/loss", 2.5, 7);
  writer.text("sample/text", "to be", 8);
  writer.flush();
  const auto events = read_events(writer.path());
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[1].step(), 7);
  EXPECT_EQ(events[1].summary().value(0).tag(), "train/loss");
  EXPECT_EQ(events[1].summary().value(0).simple_value(), 2.5f);
  EXPECT_EQ(events[2].summary().value(0).metadata().plugin_data().plugin_name(), "text");
  EXPECT_EQ(events[2].summary().value(0).tensor().string_val(0), "to be");
  EXPECT_EQ(events[2].summary().value(0).tensor().dtype(), 7);
}

TEST(EventWriter, ResumedRunOpensANewFileThatPurges) {
  const Scratch folder;
  const EventWriter first(folder.path());
  const EventWriter second(folder.path(), 11);
  EXPECT_NE(first.path(), second.path());
  const auto events = read_events(second.path());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].step(), 11);
  EXPECT_EQ(events[1].session_log().status(), proto::SessionLog::START);
}

TEST(EventWriter, FolderThatIsNotThereIsAnError) {
  EXPECT_THROW(EventWriter("/nonexistent/folder"), Error);
}

}  // namespace
}  // namespace heed::recipes
