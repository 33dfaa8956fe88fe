#include "data/text_pairs.h"

#include <algorithm>
#include <cmath>

#include "data/example_order.h"

namespace heed::data {
namespace {

size_t place_of(Part part) { return static_cast<size_t>(part); }

std::vector<std::string_view> views(const std::vector<TextPair>& pairs) {
  std::vector<std::string_view> all;
  for (const TextPair& pair : pairs) {
    all.emplace_back(pair.source);
    all.emplace_back(pair.target);
  }
  return all;
}

std::vector<TextPair> read_pairs(const std::vector<std::string>& patterns,
                                 const PairTableOptions& options, const SourceLocation& where) {
  std::vector<TextPair> pairs;
  for (TableRow& row : read_table(patterns, {options.source, options.target}, options.table,
                                  options.encoding, where)) {
    pairs.push_back({std::move(row.fields[0]), std::move(row.fields[1])});
  }
  return pairs;
}

}  // namespace

int64_t end_id(const Tokenizer& tokenizer) {
  const auto end = tokenizer.end_of_text();
  return end ? static_cast<int64_t>(*end) : tokenizer.vocab_size();
}

TextPairs::TextPairs(const Parts& parts, const PairOptions& options, const SourceLocation& where) {
  if (parts.train.empty()) fail_request(where, "there are no pairs to train on");
  std::vector<std::string_view> held_out = views(parts.validation);
  const std::vector<std::string_view> test = views(parts.test);
  held_out.insert(held_out.end(), test.begin(), test.end());
  tokenizer_ = make_example_tokenizer(options.tokenizer, views(parts.train), held_out, where);
  const std::vector<TextPair>* lists[] = {&parts.train, &parts.validation, &parts.test};
  for (size_t p = 0; p < 3; ++p) {
    for (const TextPair& pair : *lists[p]) {
      parts_[p].push_back(encoded(pair, options));
      const Example& example = parts_[p].back();
      longest_source_ = std::max<int64_t>(longest_source_, std::ssize(example.source));
      longest_target_ = std::max<int64_t>(longest_target_, std::ssize(example.target));
    }
  }
  summary_ = fmt::format(
      "{} pairs for training, {} for validation, {} for testing; up to {} tokens to {}; "
      "tokenizer {} of {}",
      size(Part::train), size(Part::validation), size(Part::test), longest_source_, longest_target_,
      tokenizer_->type(), tokenizer_->vocab_size());
}

TextPairs::Example TextPairs::encoded(const TextPair& pair, const PairOptions& options) const {
  Example example{tokenizer_->encode(pair.source), tokenizer_->encode(pair.target)};
  const auto end = static_cast<TokenId>(end_id(*tokenizer_));
  const auto cut = [](Ids& ids, int64_t most) {
    ids.resize(std::min(ids.size(), static_cast<size_t>(most)));
  };
  cut(example.source, options.max_source);
  if (example.source.empty()) example.source.push_back(end);
  cut(example.target, options.max_target - 1);
  example.target.push_back(end);
  return example;
}

int64_t TextPairs::mean_length(Ids Example::*side) const {
  const std::vector<Example>& train = parts_[place_of(Part::train)];
  double tokens = 0.0;
  for (const Example& example : train) tokens += static_cast<double>((example.*side).size());
  return std::llround(tokens / static_cast<double>(train.size()));
}

int64_t TextPairs::mean_source() const { return mean_length(&Example::source); }
int64_t TextPairs::mean_target() const { return mean_length(&Example::target); }

int64_t TextPairs::size(Part part) const { return std::ssize(parts_[place_of(part)]); }

PairBatch TextPairs::train_batch(int64_t index, const LabelledBatchOptions& options) const {
  PairBatch batch = gather(Part::train, training_examples(index, size(Part::train), options));
  batch.index = index;
  return batch;
}

int64_t TextPairs::evaluation_batches(Part part, int64_t batch) const {
  return data::evaluation_batches(size(part), batch);
}

PairBatch TextPairs::evaluation_batch(Part part, int64_t index,
                                      const LabelledBatchOptions& options) const {
  PairBatch batch = gather(part, evaluation_examples(index, size(part), options));
  batch.index = index;
  return batch;
}

PairBatch TextPairs::gather(Part part, const std::vector<int64_t>& examples) const {
  const std::vector<Example>& own = parts_[place_of(part)];
  int64_t sources = 1, targets = 1;
  for (const int64_t example : examples) {
    if (example < 0) continue;
    const Example& pair = own[static_cast<size_t>(example)];
    sources = std::max<int64_t>(sources, std::ssize(pair.source));
    targets = std::max<int64_t>(targets, std::ssize(pair.target));
  }
  const int64_t rows = std::ssize(examples);
  PairBatch batch;
  batch.ids = Tensor::zeros({rows, sources}, DType::i64);
  batch.lengths = Tensor::full({rows}, 1.0, DType::i64);
  batch.targets = Tensor::full({rows, targets}, static_cast<double>(kIgnoreTarget), DType::i64);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t example = examples[static_cast<size_t>(row)];
    if (example < 0) continue;
    const Example& pair = own[static_cast<size_t>(example)];
    std::copy(pair.source.begin(), pair.source.end(), batch.ids.data<int64_t>() + row * sources);
    std::copy(pair.target.begin(), pair.target.end(),
              batch.targets.data<int64_t>() + row * targets);
    batch.lengths.data<int64_t>()[row] = std::ssize(pair.source);
    ++batch.rows;
    batch.count += std::ssize(pair.target);
  }
  return batch;
}

void PairOptions::options(Options& o) {
  o.field("tokenizer", tokenizer, "how text becomes tokens, of both sides");
  o.field("max_source", max_source, "tokens of a source; longer ones lose their end", {.min = 1});
  o.field("max_target", max_target, "tokens of a target, its end included; the same", {.min = 2});
}

void PairTableOptions::options(Options& o) {
  o.field("train", train, "files or glob patterns; ${NAME} is an environment variable",
          {.required = true});
  o.field("validation", validation, "files of the validation part");
  o.field("test", test, "files of the test part");
  table.options(o);
  o.field("source", source, "the column of what is read: a number from 0, or a name");
  o.field("target", target, "the column of what is to be written");
  encoding_option(o, encoding);
  held_out.options(o);
  pairs.options(o);
}

std::unique_ptr<TextPairs> open_pair_table(const PairTableOptions& options,
                                           const SourceLocation& where) {
  TextPairs::Parts parts{read_pairs(options.train, options, where),
                         read_pairs(options.validation, options, where),
                         read_pairs(options.test, options, where)};
  hold_out(parts.train, parts.validation, parts.test, options.held_out);
  return std::make_unique<TextPairs>(parts, options.pairs, where);
}

}  // namespace heed::data
