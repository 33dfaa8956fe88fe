#include "data/listops.h"

#include <algorithm>

#include "data/made_texts.h"

namespace heed::data {
namespace {

constexpr int64_t kFirstDigit = 3;  // of synthetic's tokens
constexpr int64_t kFirstWord = 2;   // padding and the unknown word come first

// By token, so that the words' ids are the generator's tokens.
const std::vector<std::string>& words() {
  static const std::vector<std::string> all = {"=", "0", "1", "2",   "3",   "4",   "5",  "6",
                                               "7", "8", "9", "max", "min", "med", "sm", ")"};
  return all;
}

class ListOps : public MadeTexts {
 public:
  explicit ListOps(const ListOpsOptions& o)
      : MadeTexts(o.parts, o.length, words(), fmt::format("listops of depth {}", o.depth)),
        made_{.task = "listops", .length = o.length, .depth = o.depth} {
    HEED_CHECK(tokenizer()->vocab_size() == synthetic_vocab(made_),
               "listops: {} words of {} tokens", tokenizer()->vocab_size(), synthetic_vocab(made_));
    for (int digit = 0; digit < 10; ++digit) class_names_.push_back(std::to_string(digit));
  }

 protected:
  std::pair<std::vector<int64_t>, int64_t> make(uint64_t seed, int64_t index) const override {
    return listops_example(made_, seed, index);
  }

 private:
  SyntheticOptions made_;
};

}  // namespace

void ListOpsOptions::options(Options& o) {
  o.field("length", length, "tokens of a text, at most", {.min = 2, .max = 1 << 24});
  o.field("depth", depth, "nesting, at most", {.min = 1, .max = 64});
  parts.options(o);
}

std::pair<std::vector<int64_t>, int64_t> listops_example(const SyntheticOptions& options,
                                                         uint64_t seed, int64_t index) {
  SyntheticExample made = synthetic_example(options, seed, index);
  const auto asked = std::find_if(made.targets.begin(), made.targets.end(),
                                  [](int64_t target) { return target != kIgnoreTarget; });
  made.inputs.resize(static_cast<size_t>(asked - made.targets.begin()) + 1);
  return {std::move(made.inputs), *asked - kFirstDigit};
}

const std::string& listops_word(int64_t token) {
  return words().at(static_cast<size_t>(token - kFirstWord));
}

std::unique_ptr<LabelledDataset> open_listops(const ListOpsOptions& options,
                                              const SourceLocation&) {
  return std::make_unique<ListOps>(options);
}

}  // namespace heed::data
