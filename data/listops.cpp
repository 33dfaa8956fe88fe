#include "data/listops.h"

#include <algorithm>

#include "data/word_tokenizer.h"

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

class ListOps : public LabelledDataset {
 public:
  explicit ListOps(const ListOpsOptions& o)
      : parts_(o.parts),
        made_{.task = "listops", .length = o.length, .depth = o.depth},
        tokenizer_(words()) {
    HEED_CHECK(tokenizer_.vocab_size() == synthetic_vocab(made_), "listops: {} words of {} tokens",
               tokenizer_.vocab_size(), synthetic_vocab(made_));
    for (int digit = 0; digit < 10; ++digit) class_names_.push_back(std::to_string(digit));
    summary_ = fmt::format(
        "listops: {} for training, {} for validation, {} for testing; up to {} tokens, depth {}",
        parts_.train, parts_.validation, parts_.test, o.length, o.depth);
  }

  const char* kind() const override { return "texts"; }
  int64_t size(Part part) const override {
    const int64_t sizes[] = {parts_.train, parts_.validation, parts_.test};
    return sizes[static_cast<size_t>(part)];
  }
  int64_t label(Part part, int64_t index) const override { return example(part, index).second; }
  Shape example_shape() const override { return {made_.length}; }
  const Tokenizer* tokenizer() const override { return &tokenizer_; }

  LabelledBatch gather(Part part, std::span<const ExampleRow> rows) const override {
    std::vector<std::vector<int64_t>> texts;
    std::vector<int64_t> lengths, labels;
    int64_t longest = 1;
    for (const ExampleRow& row : rows) {
      std::pair<std::vector<int64_t>, int64_t> made{{padding()}, kIgnoreTarget};
      if (row.example >= 0) made = example(part, row.example);
      longest = std::max(longest, static_cast<int64_t>(made.first.size()));
      lengths.push_back(static_cast<int64_t>(made.first.size()));
      labels.push_back(made.second);
      texts.push_back(std::move(made.first));
    }
    const auto count = static_cast<int64_t>(rows.size());
    TextBatch batch;
    batch.ids = Tensor::full({count, longest}, static_cast<double>(padding()), DType::i64);
    for (size_t row = 0; row < texts.size(); ++row) {
      std::copy(texts[row].begin(), texts[row].end(),
                batch.ids.data<int64_t>() + static_cast<int64_t>(row) * longest);
    }
    batch.lengths = Tensor::from(lengths, {count});
    batch.labels = Tensor::from(labels, {count});
    return batch;
  }

 private:
  std::pair<std::vector<int64_t>, int64_t> example(Part part, int64_t index) const {
    HEED_CHECK(index >= 0 && index < size(part), "listops: {} of {}", index, size(part));
    const uint64_t own = mix(static_cast<uint64_t>(parts_.seed) ^ hash_name(name_of(part)));
    return listops_example(made_, own, index);
  }

  ProceduralParts parts_;
  SyntheticOptions made_;
  WordTokenizer tokenizer_;
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
