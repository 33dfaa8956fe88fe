#include "recipes/engine/metrics.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace heed::recipes {
namespace {

/// The step of a line; -1 when the line is not a whole object of ours.
int64_t step_of(const std::string& line) {
  try {
    const Config object = parse_json(line, "metrics.jsonl");
    const Config* step = object.find("step");
    return step != nullptr && step->is_integer() ? step->as_integer() : -1;
  } catch (const Error&) {
    return -1;
  }
}

/// Bytes of the file to keep: whole lines up to the first of a later step.
uintmax_t kept_bytes(const std::string& path, int64_t last_step) {
  std::ifstream file(path, std::ios::binary);
  uintmax_t kept = 0;
  std::string line;
  while (std::getline(file, line) && !file.eof()) {
    const int64_t step = step_of(line);
    if (step < 0 || step > last_step) break;
    kept += line.size() + 1;
  }
  return kept;
}

}  // namespace

MetricsWriter::MetricsWriter(const std::string& path, int64_t step) : path_(path) {
  if (std::filesystem::exists(path)) std::filesystem::resize_file(path, kept_bytes(path, step));
  file_.open(path, std::ios::binary | std::ios::app);
  HEED_CHECK(file_.is_open(), "{}: cannot be written: {}", path, std::strerror(errno));
}

void MetricsWriter::write(const std::string& kind, int64_t step, const Config& fields) {
  Config line = Config::map();
  line.set("kind", kind);
  line.set("step", step);
  if (fields.is_map()) {
    for (const auto& [name, value] : fields.as_map()) line.set(name, value);
  }
  file_ << line.to_json() << '\n' << std::flush;
  HEED_CHECK(file_.good(), "{}: writing failed: {}", path_, std::strerror(errno));
}

std::vector<Config> read_metrics(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) fail_request("{}: {}", path, std::strerror(errno));
  std::vector<Config> lines;
  std::string line;
  while (std::getline(file, line) && !file.eof()) lines.push_back(parse_json(line, path));
  return lines;
}

}  // namespace heed::recipes
