// TensorBoard event files: length, masked CRC-32C, an Event message, masked CRC-32C (the TFRecord
// framing), in a file events.out.tfevents.<seconds>.<host>.<process>.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace heed::recipes {

class EventWriter {
 public:
  /// Opens a new file in `folder`. With `purge_step` >= 0 readers drop what older files of the
  /// folder hold from that step on (a resumed run writes it again).
  explicit EventWriter(const std::string& folder, int64_t purge_step = -1);

  void scalar(const std::string& tag, double value, int64_t step);
  void text(const std::string& tag, const std::string& value, int64_t step);
  /// Hands what was written to the system.
  void flush();

  const std::string& path() const { return path_; }

 private:
  void write(const std::string& message);

  std::string path_;
  std::ofstream file_;
};

/// One framed record of a TFRecord file.
std::string tfrecord(std::string_view payload);

/// CRC-32C (Castagnoli), and TensorFlow's masked form of it.
uint32_t crc32c(std::string_view bytes);
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace heed::recipes
