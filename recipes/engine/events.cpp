#include "recipes/engine/events.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "recipes/engine/events.pb.h"

namespace heed::recipes {
namespace {

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0u);
    table[i] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

double wall_time() {
  using namespace std::chrono;
  return duration<double>(system_clock::now().time_since_epoch()).count();
}

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof(T), '\0');
  for (size_t i = 0; i < sizeof(T); ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  return bytes;
}

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "localhost";
  return name;
}

std::string unused_path(const std::string& folder) {
  const auto seconds = static_cast<int64_t>(wall_time());
  for (int number = 0;; ++number) {
    const std::string path = fmt::format("{}/events.out.tfevents.{:010}.{}.{}.{}", folder, seconds,
                                         host_name(), getpid(), number);
    if (!std::filesystem::exists(path)) return path;
  }
}

proto::Event event_at(int64_t step) {
  proto::Event event;
  event.set_wall_time(wall_time());
  event.set_step(step);
  return event;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<uint8_t>(c)) & 0xff];
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

std::string tfrecord(std::string_view payload) {
  const std::string length = little_endian(static_cast<uint64_t>(payload.size()));
  std::string record = length + little_endian(masked_crc32c(length));
  record.append(payload);
  return record + little_endian(masked_crc32c(payload));
}

EventWriter::EventWriter(const std::string& folder, int64_t purge_step)
    : path_(unused_path(folder)), file_(path_, std::ios::binary) {
  HEED_CHECK(file_.is_open(), "{}: cannot be written: {}", path_, std::strerror(errno));
  proto::Event version = event_at(0);
  version.set_file_version("brain.Event:2");
  write(version.SerializeAsString());
  if (purge_step >= 0) {
    proto::Event start = event_at(purge_step);
    start.mutable_session_log()->set_status(proto::SessionLog::START);
    write(start.SerializeAsString());
  }
  flush();
}

void EventWriter::scalar(const std::string& tag, double value, int64_t step) {
  proto::Event event = event_at(step);
  proto::Summary::Value* entry = event.mutable_summary()->add_value();
  entry->set_tag(tag);
  entry->set_simple_value(static_cast<float>(value));
  write(event.SerializeAsString());
}

void EventWriter::text(const std::string& tag, const std::string& value, int64_t step) {
  constexpr int kStringType = 7;
  proto::Event event = event_at(step);
  proto::Summary::Value* entry = event.mutable_summary()->add_value();
  entry->set_tag(tag);
  entry->mutable_metadata()->mutable_plugin_data()->set_plugin_name("text");
  proto::TensorProto* tensor = entry->mutable_tensor();
  tensor->set_dtype(kStringType);
  tensor->mutable_tensor_shape()->add_dim()->set_size(1);
  tensor->add_string_val(value);
  write(event.SerializeAsString());
}

void EventWriter::write(const std::string& message) {
  const std::string record = tfrecord(message);
  file_.write(record.data(), static_cast<std::streamsize>(record.size()));
}

void EventWriter::flush() {
  file_.flush();
  HEED_CHECK(file_.good(), "{}: writing failed: {}", path_, std::strerror(errno));
}

}  // namespace heed::recipes
