#include "data/made_texts.h"

#include <algorithm>

namespace heed::data {

MadeTexts::MadeTexts(const ProceduralParts& parts, int64_t longest, std::vector<std::string> words,
                     const std::string& what)
    : parts_(parts), longest_(longest), tokenizer_(std::move(words)) {
  summary_ = fmt::format("{}: {} for training, {} for validation, {} for testing; up to {} tokens",
                         what, parts.train, parts.validation, parts.test, longest);
}

int64_t MadeTexts::size(Part part) const {
  const int64_t sizes[] = {parts_.train, parts_.validation, parts_.test};
  return sizes[static_cast<size_t>(part)];
}

LabelledBatch MadeTexts::gather(Part part, std::span<const ExampleRow> rows) const {
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

std::pair<std::vector<int64_t>, int64_t> MadeTexts::example(Part part, int64_t index) const {
  HEED_CHECK(index >= 0 && index < size(part), "texts: {} of {}", index, size(part));
  return make(mix(static_cast<uint64_t>(parts_.seed) ^ hash_name(name_of(part))), index);
}

}  // namespace heed::data
