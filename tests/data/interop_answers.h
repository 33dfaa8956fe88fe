// How many questions of a script of tests/interop agree, left where it looks for it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "core/config.h"
#include "core/files.h"

namespace heed::data {

class InteropAnswers {
 public:
  /// Of the folder with the questions; compared.json appears there when this ends.
  explicit InteropAnswers(std::string folder) : folder_(std::move(folder)) {}
  ~InteropAnswers() {
    const Config counts = Config::Map{{"agree", agree_}, {"of", of_}};
    write_file_atomically(folder_ + "/compared.json", counts.to_json());
  }
  InteropAnswers(const InteropAnswers&) = delete;
  InteropAnswers& operator=(const InteropAnswers&) = delete;

  bool note(bool agrees) {
    ++of_;
    agree_ += agrees ? 1 : 0;
    return agrees;
  }

 private:
  std::string folder_;
  int64_t agree_ = 0, of_ = 0;
};

}  // namespace heed::data
