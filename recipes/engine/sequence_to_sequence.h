// The task of writing one text for another: translation, summaries, answers. The decoder reads the
// true target as it learns (teacher forcing):
//   loss = -mean_i ln p(target_i | target_1 .. target_{i-1}, source)
#pragma once

#include <memory>
#include <string>

#include "data/text_pairs.h"
#include "nn/models/encoder_decoder.h"
#include "recipes/engine/pair_task.h"

namespace heed::recipes {

struct SequenceToSequenceOptions {
  double smoothing = 0.0;
  int64_t beams = 1;
  double length_penalty = 0.6;
  bool write = true;
  std::string part = "auto";
  void options(Options& o);
};

class SequenceToSequence : public PairTask {
 public:
  SequenceToSequence(const Recipe& recipe, TaskUse use, const std::string& assets);

  const char* name() const override { return "sequence_to_sequence"; }
  nn::Module& module() override { return *model_; }
  nn::EncoderDecoder& model() { return *model_; }

  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }

  /// Batches hold "ids" [B, N] with their "lengths" [B], and "targets" [B, M].
  Tensor loss(const Batch& batch) override;

  /// loss (nats a token of the targets, without smoothing), token_accuracy (given the true tokens
  /// before), and, with task.write, exact_match: targets that the model writes from the source
  /// alone, whole.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;

  /// The text for the source `prompt`; with task.beams above 1 the likeliest that a beam search
  /// finds, whatever the temperature. A source longer than in training, or than learned positions
  /// reach, loses its end; so does the text.
  Generated generate(const std::string& prompt, const GenerateOptions& options,
                     const TokenCallback& on_token) override;
  Config export_config() override { return model_->config(); }

 private:
  struct Sums {
    double nats = 0.0, tokens = 0.0, right = 0.0, pairs = 0.0, whole = 0.0;
  };
  void make_model();
  void add(const data::PairBatch& batch, Sums& sums);
  Tensor written(const Tensor& ids, const Tensor& lengths, int64_t tokens);
  Generated drawn(const Tensor& ids, const GenerateOptions& options, const TokenCallback& on_token);
  Generated searched(const Tensor& ids, const GenerateOptions& options,
                     const TokenCallback& on_token);
  int64_t longest_prompt() const;
  double flops_per_row() override;

  SequenceToSequenceOptions options_;
  std::unique_ptr<nn::EncoderDecoder> model_;
};

/// The task's line in the registry.
TaskEntry sequence_to_sequence_entry();

}  // namespace heed::recipes
