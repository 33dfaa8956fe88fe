#include "recipes/engine/sequence_to_sequence.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "autograd/ops/loss.h"
#include "autograd/ops/reduce.h"
#include "data/registry.h"
#include "nn/models/beam_search.h"
#include "recipes/engine/text_generator.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

std::string tokenizer_file(const std::string& assets) {
  return (fs::path(assets) / "tokenizer.json").string();
}

}  // namespace

void SequenceToSequenceOptions::options(Options& o) {
  o.field("smoothing", smoothing, "label smoothing: this much of a target is spread evenly",
          {.min = 0, .below = 1});
  o.field("beams", beams, "texts that are followed at once in writing; 1 takes the likeliest token",
          {.min = 1, .max = 64});
  o.field(
      "length_penalty", length_penalty,
      "beams: favours longer texts (Wu et al. 2016); 0 compares their probabilities as they are",
      {.min = 0});
  o.field("part", part, "what is evaluated: validation, test, or the first of them that there is",
          {.one_of = {"auto", "validation", "test"}});
}

SequenceToSequence::SequenceToSequence(const Recipe& recipe, TaskUse use, const std::string& assets)
    : IndexedTask(recipe),
      options_(read_options<SequenceToSequenceOptions>(recipe.task, "task sequence_to_sequence")) {
  open_data(use, assets);
  make_model();
  if (use != TaskUse::train) return;
  const data::LabelledBatchOptions options{.batch = rows_per_step(), .seed = seed(), .slice = {}};
  start_batches([data = data_, options](int64_t step, const data::RowSlice& part) -> Batch {
    data::LabelledBatchOptions own = options;
    own.slice = part;
    const data::PairBatch batch = data->train_batch(step, own);
    return {{{"ids", batch.ids}, {"lengths", batch.lengths}, {"targets", batch.targets}},
            batch.count};
  });
}

void SequenceToSequence::open_data(TaskUse use, const std::string& assets) {
  const bool saved = !assets.empty() && fs::exists(tokenizer_file(assets));
  if (use == TaskUse::generate && saved) {
    own_tokenizer_ = data::load_tokenizer(tokenizer_file(assets));
    return;
  }
  Config config = recipe_.data;
  const Config& type = config.at("type");
  const data::DatasetEntry& entry = data::find_dataset(type.as_string(), type.where());
  if (!entry.open_pairs) {
    fail_request(type.where(),
                 fmt::format("task sequence_to_sequence: the dataset '{}' ({}) has no pairs of "
                             "texts",
                             entry.name, entry.kind));
  }
  if (saved) config.set("tokenizer", Config(Config::Map{{"file", tokenizer_file(assets)}}));
  data_ = entry.open_pairs(config);
  const bool validation = data_->size(data::Part::validation) > 0;
  const bool test = options_.part == "test" || (options_.part == "auto" && !validation);
  part_ = test ? data::Part::test : data::Part::validation;
  if (options_.part != "auto" && data_->size(part_) == 0) {
    fail_request(recipe_.task.at("part").where(),
                 fmt::format("task sequence_to_sequence: the data has no {} part ({})",
                             options_.part, data_->summary()));
  }
}

void SequenceToSequence::make_model() {
  Config config = recipe_.model;
  const Config& type = config.at("type");
  if (type.as_string() != "encoder_decoder") {
    fail_request(type.where(),
                 "task sequence_to_sequence: it trains the model 'encoder_decoder', not '" +
                     type.as_string() + "'");
  }
  const int64_t end = data::end_id(tokenizer());
  const int64_t vocab = std::max(tokenizer().vocab_size(), end + 1);
  const Config* given = config.find("vocab");
  if (given == nullptr || given->as_integer() == 0) {
    config.set("vocab", vocab);
  } else if (given->as_integer() < vocab) {
    fail_request(given->where(), fmt::format("model encoder_decoder: vocab is {}, but the data "
                                             "have {} ids",
                                             given->as_integer(), vocab));
  }
  if (config.find("start") == nullptr) config.set("start", end);
  const nn::EncoderDecoderOptions options = nn::read_encoder_decoder_options(config);
  const int64_t longest = data_ ? std::max(data_->longest_source(), data_->longest_target()) : 0;
  if (options.position == "learned" && options.context < longest) {
    fail_request(recipe_.model.where(), fmt::format("model encoder_decoder: a context of {} for "
                                                    "texts of {} tokens",
                                                    options.context, longest));
  }
  model_ = std::make_unique<nn::EncoderDecoder>(options);
}

Tensor SequenceToSequence::loss(const Batch& batch) {
  return model_->loss(batch["ids"], batch["targets"], batch["lengths"], options_.smoothing);
}

Tensor SequenceToSequence::written(const Tensor& ids, const Tensor& lengths, int64_t tokens) {
  const int64_t end = data::end_id(tokenizer());
  if (options_.beams == 1) return model_->generate(ids, lengths, {.tokens = tokens, .end = end});
  return nn::beam_search(*model_, ids, lengths,
                         {.beams = options_.beams,
                          .tokens = tokens,
                          .end = end,
                          .length_penalty = options_.length_penalty});
}

void SequenceToSequence::add(const data::PairBatch& batch, Sums& sums) {
  const Tensor logits =
      model_->forward(batch.ids, model_->decoder_ids(batch.targets), batch.lengths);
  sums.nats += cross_entropy(logits, batch.targets, {.reduction = Reduction::sum}).item();
  sums.tokens += static_cast<double>(batch.count);
  sums.pairs += static_cast<double>(batch.rows);
  const auto width = static_cast<size_t>(batch.targets.size(1));
  const Tensor own = written(batch.ids, batch.lengths, batch.targets.size(1));
  const auto own_width = static_cast<size_t>(own.size(1));
  const std::vector<int64_t> targets = batch.targets.to_vector<int64_t>(),
                             said = argmax(logits, -1).to_vector<int64_t>(),
                             wrote = own.to_vector<int64_t>();
  for (size_t row = 0; row < static_cast<size_t>(batch.rows); ++row) {
    bool whole = true;
    for (size_t i = 0; i < width && targets[row * width + i] != data::kIgnoreTarget; ++i) {
      const int64_t target = targets[row * width + i];
      sums.right += said[row * width + i] == target ? 1.0 : 0.0;
      whole = whole && i < own_width && wrote[row * own_width + i] == target;
    }
    sums.whole += whole ? 1.0 : 0.0;
  }
}

Metrics SequenceToSequence::evaluate(const EvaluationOptions& options, Communicator& communicator,
                                     const Progress& progress) {
  const NoGrad no_grad;
  const data::LabelledBatchOptions of_rank{.batch = evaluation_rows(options),
                                           .seed = seed(),
                                           .slice = {communicator.rank(), communicator.size()}};
  int64_t batches = data_->evaluation_batches(part_, of_rank.batch);
  if (options.max_batches > 0) batches = std::min(batches, options.max_batches);
  Sums sums;
  for (int64_t i = 0; i < batches; ++i) {
    const data::PairBatch batch = data_->evaluation_batch(part_, i, of_rank);
    if (batch.rows > 0) add(batch, sums);
    if (progress) progress(i + 1, batches);
  }
  for (double* sum : {&sums.nats, &sums.tokens, &sums.right, &sums.pairs, &sums.whole}) {
    *sum = communicator.all_reduce_number(*sum);
  }
  if (sums.pairs == 0.0) return {};
  return {{"loss", sums.nats / sums.tokens},
          {"token_accuracy", sums.right / sums.tokens},
          {"exact_match", sums.whole / sums.pairs}};
}

Generated SequenceToSequence::generate(const std::string& prompt, const GenerateOptions& options,
                                       const TokenCallback& on_token) {
  const NoGrad no_grad;
  const auto end = static_cast<data::TokenId>(data::end_id(tokenizer()));
  std::vector<data::TokenId> source = tokenizer().encode(prompt);
  if (source.empty()) source.push_back(end);
  const Tensor ids =
      Tensor::from(std::vector<int64_t>(source.begin(), source.end()), {1, std::ssize(source)});
  TokenFeed feed;
  std::unique_ptr<nn::DecodeState> state;
  std::vector<int64_t> found;  // by the beam search
  size_t next = 0;
  if (options_.beams == 1) {
    state = model_->start(ids);
    feed = [&](std::span<const data::TokenId> tokens) {
      const std::vector<int64_t> own(tokens.begin(), tokens.end());
      return model_->decode(Tensor::from(own, {1, std::ssize(own)}), *state).to_vector<float>();
    };
  } else {
    found = written(ids, {}, options.max_tokens).to_vector<int64_t>();
    feed = [&](std::span<const data::TokenId>) {
      std::vector<float> certain(static_cast<size_t>(model_->options().vocab), 0.0f);
      certain[static_cast<size_t>(next < found.size() ? found[next++] : end)] = 1.0f;
      return certain;
    };
  }
  GenerateOptions own = options;
  own.greedy = own.greedy || options_.beams > 1;
  const data::TokenId start = static_cast<data::TokenId>(model_->options().start);
  Generated generated = write_text(feed, std::span(&start, 1), tokenizer(), end, own, on_token);
  generated.prompt_tokens = std::ssize(source);
  return generated;
}

std::vector<std::string> SequenceToSequence::save_assets(const std::string& folder) {
  tokenizer().save(tokenizer_file(folder));
  return {tokenizer_file(folder)};
}

double SequenceToSequence::flops_per_row() {
  return model_->flops(data_->longest_source(), data_->longest_target());
}

TaskEntry sequence_to_sequence_entry() {
  return {"sequence_to_sequence", "write one text for another",
          [] { return describe_options<SequenceToSequenceOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string& assets) {
            return std::make_unique<SequenceToSequence>(recipe, use, assets);
          }};
}

}  // namespace heed::recipes
