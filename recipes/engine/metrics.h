// metrics.jsonl: one JSON object a line, flushed as it is written. Every object has "kind" and
// "step" (steps done):
//
//   {"kind":"start","step":0,"name":...,"parameters":...,"item":"tokens"}
//   {"kind":"train","step":10,"loss":4.1,"learning_rate":1e-4,"grad_norm":1.2,"step_ms":9.8,
//    "items":7680,"items_per_second":78000,"peak_bytes":...,"seconds":0.1}
//   {"kind":"eval","step":250,"loss":2.4,"perplexity":...,...,"seconds":2.4}
//   {"kind":"baselines","step":0,"unigram.loss":...,...}
//   {"kind":"sample","step":250,"prompt":"","text":"..."}, or with "file":"samples/..." instead;
//   with "answers":true where the text does not go on from the prompt
//   {"kind":"end","step":2000,"seconds":31.5}
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "core/config.h"

namespace heed::recipes {

class MetricsWriter {
 public:
  /// Opens for appending. Lines of later steps than `step` (all lines for -1), and a last line cut
  /// short by a crash, are cut off first: a resumed run writes them again.
  MetricsWriter(const std::string& path, int64_t step);

  /// Writes one line; `fields` is a map. Throws Error when the disk refuses.
  void write(const std::string& kind, int64_t step, const Config& fields);

 private:
  std::string path_;
  std::ofstream file_;
};

/// All whole lines of a metrics.jsonl, in order. RequestError when there is no such file.
std::vector<Config> read_metrics(const std::string& path);

}  // namespace heed::recipes
