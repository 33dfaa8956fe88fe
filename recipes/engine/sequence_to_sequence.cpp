#include "recipes/engine/sequence_to_sequence.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "autograd/ops/loss.h"
#include "autograd/ops/reduce.h"
#include "nn/models/beam_search.h"
#include "recipes/engine/task_data.h"
#include "recipes/engine/text_generator.h"

namespace heed::recipes {
namespace {

/// Tokens that a source, or a target, may have.
int64_t longest_text(const nn::EncoderDecoder& model) {
  return model.options().position == "learned" ? model.options().context
                                               : std::numeric_limits<int64_t>::max();
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
  o.field("write", write,
          "whether evaluation also writes every target, for exact_match; that takes it longest");
  part_option(o, part);
}

SequenceToSequence::SequenceToSequence(const Recipe& recipe, TaskUse use, const std::string& assets)
    : PairTask(recipe),
      options_(read_options<SequenceToSequenceOptions>(recipe.task, "task sequence_to_sequence")) {
  open_pairs(use, assets, options_.part);
  make_model();
  if (use != TaskUse::train) return;
  start_pairs([](const data::PairBatch& batch) -> Batch {
    return {{{"ids", batch.ids}, {"lengths", batch.lengths}, {"targets", batch.targets}},
            batch.count};
  });
}

void SequenceToSequence::make_model() {
  Config config = recipe_.model;
  const Config& type = config.at("type");
  if (type.as_string() != "encoder_decoder") {
    fail_request(type.where(),
                 "task sequence_to_sequence: it trains the model 'encoder_decoder', not '" +
                     type.as_string() + "'");
  }
  const int64_t vocab = known_ids(tokenizer(), end());
  const Config* given = config.find("vocab");
  if (given == nullptr || given->as_integer() == 0) {
    config.set("vocab", vocab);
  } else if (given->as_integer() < vocab) {
    fail_request(given->where(), fmt::format("model encoder_decoder: vocab is {}, but the data "
                                             "have {} ids",
                                             given->as_integer(), vocab));
  }
  if (config.find("start") == nullptr) config.set("start", data::end_id(tokenizer()));
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
  const int64_t known = known_ids(tokenizer(), end());
  if (options_.beams == 1) {
    return model_->generate(ids, lengths, {.tokens = tokens, .end = end(), .ids = known});
  }
  return nn::beam_search(*model_, ids, lengths,
                         {.beams = options_.beams,
                          .tokens = tokens,
                          .end = end(),
                          .length_penalty = options_.length_penalty,
                          .ids = known});
}

void SequenceToSequence::add(const data::PairBatch& batch, Sums& sums) {
  const Tensor logits =
      model_->forward(batch.ids, model_->decoder_ids(batch.targets), batch.lengths);
  sums.nats += cross_entropy(logits, batch.targets, {.reduction = Reduction::sum}).item();
  sums.tokens += static_cast<double>(batch.count);
  sums.pairs += static_cast<double>(batch.rows);
  const auto width = static_cast<size_t>(batch.targets.size(1));
  const std::vector<int64_t> targets = batch.targets.to_vector<int64_t>(),
                             said = argmax(logits, -1).to_vector<int64_t>();
  std::vector<int64_t> wrote;
  if (options_.write) {
    wrote = written(batch.ids, batch.lengths, batch.targets.size(1)).to_vector<int64_t>();
  }
  const size_t own_width = wrote.size() / static_cast<size_t>(batch.targets.size(0));
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
  Sums sums;
  walk(options, communicator, progress, [&](const data::PairBatch& batch) { add(batch, sums); });
  for (double* sum : {&sums.nats, &sums.tokens, &sums.right, &sums.pairs, &sums.whole}) {
    *sum = communicator.all_reduce_number(*sum);
  }
  if (sums.pairs == 0.0) return {};
  Metrics metrics = {{"loss", sums.nats / sums.tokens},
                     {"token_accuracy", sums.right / sums.tokens}};
  if (options_.write) metrics.emplace_back("exact_match", sums.whole / sums.pairs);
  return metrics;
}

int64_t SequenceToSequence::longest_prompt() const {
  const Config* given = recipe_.data.find("max_source");
  const int64_t most = given != nullptr ? given->as_integer() : data::PairOptions{}.max_source;
  return std::min(most, longest_text(*model_));
}

Generated SequenceToSequence::generate(const std::string& prompt, const GenerateOptions& options,
                                       const TokenCallback& on_token) {
  const NoGrad no_grad;
  std::vector<data::TokenId> source = tokenizer().encode(prompt);
  std::string warning;
  if (const int64_t most = longest_prompt(); std::ssize(source) > most) {
    warning = fmt::format("the prompt has {} tokens; the first {} are read", source.size(), most);
    source.resize(static_cast<size_t>(most));
  }
  if (source.empty()) source.push_back(end());
  const Tensor ids =
      Tensor::from(std::vector<int64_t>(source.begin(), source.end()), {1, std::ssize(source)});
  GenerateOptions own = options;
  own.max_tokens = std::min(options.max_tokens, longest_text(*model_));
  Generated generated =
      options_.beams == 1 ? drawn(ids, own, on_token) : searched(ids, own, on_token);
  if (own.max_tokens < options.max_tokens && generated.stopped_by == "max_tokens") {
    generated.stopped_by = "context";
  }
  generated.prompt_tokens = std::ssize(source);
  generated.warning = warning;
  return generated;
}

Generated SequenceToSequence::drawn(const Tensor& ids, const GenerateOptions& options,
                                    const TokenCallback& on_token) {
  std::unique_ptr<nn::DecodeState> state;
  const TokenFeed feed = [&](std::span<const data::TokenId> tokens) {
    if (!state) state = model_->start(ids);
    const std::vector<int64_t> own(tokens.begin(), tokens.end());
    return model_->decode(Tensor::from(own, {1, std::ssize(own)}), *state).to_vector<float>();
  };
  const auto start = static_cast<data::TokenId>(model_->options().start);
  return write_text(feed, std::span(&start, 1), tokenizer(), end(), options, on_token);
}

Generated SequenceToSequence::searched(const Tensor& ids, const GenerateOptions& options,
                                       const TokenCallback& on_token) {
  const auto start = std::chrono::steady_clock::now();
  TextWriter writer(tokenizer(), end(), options, on_token);
  for (const int64_t id : written(ids, {}, options.max_tokens).to_vector<int64_t>()) {
    if (!writer.push(static_cast<data::TokenId>(id))) break;
  }
  Generated generated = writer.finish();
  generated.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return generated;
}

double SequenceToSequence::flops_per_row() {
  return model_->flops(data_->mean_source(), data_->mean_target());
}

TaskEntry sequence_to_sequence_entry() {
  return {"sequence_to_sequence", "write one text for another",
          [] { return describe_options<SequenceToSequenceOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string& assets) {
            return std::make_unique<SequenceToSequence>(recipe, use, assets);
          }};
}

}  // namespace heed::recipes
