#include "data/listops.h"

#include <gtest/gtest.h>

namespace heed::data {
namespace {

TEST(ListOps, IsTextsThatTheirTokenizerReads) {
  const auto data = open_labelled_dataset(
      parse_yaml("{type: listops, length: 24, depth: 2, train: 40, validation: 5}", "r.yaml"));
  EXPECT_STREQ(data->kind(), "texts");
  EXPECT_EQ(data->classes(), 10);
  EXPECT_EQ(data->tokenizer()->vocab_size(), 18);
  const auto batch = std::get<TextBatch>(data->evaluation_batch(Part::train, 0, {.batch = 40}));
  const auto ids = batch.ids.to_vector<int64_t>();
  const auto lengths = batch.lengths.to_vector<int64_t>();
  const auto labels = batch.labels.to_vector<int64_t>();
  const auto width = static_cast<size_t>(batch.ids.size(1));
  for (size_t row = 0; row < 40; ++row) {
    const std::vector<TokenId> text(ids.begin() + static_cast<int64_t>(row * width),
                                    ids.begin() + static_cast<int64_t>(row * width) + lengths[row]);
    const std::string written = data->tokenizer()->decode(text);
    EXPECT_EQ(data->tokenizer()->encode(written), text) << written;
    EXPECT_EQ(text.back(), 2) << "the question ends it";
    EXPECT_EQ(labels[row], data->label(Part::train, static_cast<int64_t>(row)));
    if (text.size() == 2) {
      EXPECT_EQ(written, fmt::format(" {} =", labels[row])) << "a digit is its own value";
    }
  }
  const auto held = std::get<TextBatch>(data->evaluation_batch(Part::validation, 1, {.batch = 3}));
  EXPECT_EQ(held.count, 2);
  EXPECT_EQ(held.labels.to_vector<int64_t>()[2], kIgnoreTarget);
}

}  // namespace
}  // namespace heed::data
