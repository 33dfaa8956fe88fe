// How many questions of a script of this folder agree, left where it looks for it.
#pragma once

#include <cstdint>
#include <string>

#include "core/config.h"
#include "core/files.h"
#include "tests/interop/folder.h"

namespace heed::interop {

/// compared.json appears in the folder of questions when this ends.
class Answers {
 public:
  Answers() = default;
  ~Answers() {
    const Config counts = Config::Map{{"agree", agree_}, {"of", of_}};
    write_file_atomically(folder() + "/compared.json", counts.to_json());
  }
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;

  bool note(bool agrees) {
    ++of_;
    agree_ += agrees ? 1 : 0;
    return agrees;
  }

 private:
  int64_t agree_ = 0, of_ = 0;
};

}  // namespace heed::interop
