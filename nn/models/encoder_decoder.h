// Sequence to sequence: an encoder that sees a whole text, and a decoder that writes another one
// token by token, looking at the encoder's states (Vaswani et al. 2017; T5: Raffel et al., arXiv
// 1910.10683).
//   memory = encoder(embed[ids])
//   y = y + attention(norm1(y));   y = y + cross(norm_cross(y), memory);   y = y + mlp(norm2(y))
//   logits = norm(y) head^T                       head = embed when tied; norms last by option
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "core/random.h"
#include "nn/attention/cross_attention.h"
#include "nn/layers/embedding.h"
#include "nn/layers/learned_position.h"
#include "nn/layers/relative_position.h"
#include "nn/layers/sinusoidal_position.h"
#include "nn/models/transformer_block.h"

namespace heed::nn {

struct EncoderDecoderOptions {
  std::string preset;
  int64_t vocab = 0;
  int64_t context = 512;
  int64_t layers = 6;
  int64_t decoder_layers = 0;
  int64_t dim = 256;
  int64_t heads = 4;
  int64_t head_dim = 0;
  int64_t hidden = 0;
  std::string mlp = "relu";
  std::string norm = "rms_norm";
  double norm_eps = 1e-6;
  bool norm_first = true;
  bool bias = false;
  std::string position = "t5";
  int64_t buckets = 32;
  int64_t max_distance = 128;
  bool tied = true;
  bool scaled_embedding = false;
  bool scaled_logits = false;
  double cross_scale = 0.0;
  int64_t start = 0;
  double dropout = 0.1;
  double attention_dropout = 0.0;
  Config attention = Config(Config::Map{{"type", "softmax"}});

  void options(Options& o);
};

/// The names that `preset` may have: "t5-small", "t5-base", "transformer-base".
std::vector<std::string> encoder_decoder_presets();
/// Reads a config: its preset, if it names one, changed by the other keys.
EncoderDecoderOptions read_encoder_decoder_options(const Config& config);

/// TransformerBlock with attention to a memory between its two branches.
struct DecoderBlock : Module {
  DecoderBlock(const TransformerBlockOptions& options, const CrossAttentionOptions& cross);

  /// y [B, N, C] -> [B, N, C].
  Tensor forward(const Tensor& y, const CrossMemory& memory, const Tensor& lengths,
                 const AttentionContext& context);

  std::unique_ptr<Norm> norm1, norm_cross, norm2;
  std::unique_ptr<AttentionMechanism> attn;
  CrossAttention cross;
  std::unique_ptr<FeedForward> mlp;
  Dropout dropout1, dropout_cross, dropout2;

 private:
  bool norm_first_;
};

/// How EncoderDecoder::generate goes on.
struct GenerateOptions {
  int64_t tokens = 64;       ///< at most
  int64_t end = -1;          ///< the id that ends a text; -1: none
  double temperature = 0.0;  ///< 0 takes the likeliest token, the first of equals
  RandomKey key = {};        ///< of the draws: token t of row b depends on (key, t, b) alone
  int64_t ids = 0;           ///< ids from here on are never written; 0: all may be
};

class EncoderDecoder : public Module {
 public:
  explicit EncoderDecoder(const EncoderDecoderOptions& options);

  /// Encoder states [B, N, C] of ids [B, N]; `lengths` [B] i64 are the tokens that count, all when
  /// undefined. States after a row's length mean nothing.
  Tensor encode(const Tensor& ids, const Tensor& lengths = {});
  /// Logits [B, M, vocab] of each next token, given decoder_ids [B, M] (the start token first).
  Tensor forward(const Tensor& ids, const Tensor& decoder_ids, const Tensor& lengths);
  /// targets [B, M] moved back by one, behind the start token: what the decoder reads when it is
  /// to predict them. Targets of -100 (padding) are read as the start token.
  Tensor decoder_ids(const Tensor& targets) const;
  /// Mean cross-entropy (nats) of targets [B, M] given ids, against targets smoothed by
  /// `smoothing`; targets of -100 do not count.
  Tensor loss(const Tensor& ids, const Tensor& targets, const Tensor& lengths = {},
              double smoothing = 0.0);

  /// A state for decode(): the memory's keys and values, and an empty cache. With `copies` the
  /// rows stand that many times one after the other, encoded once.
  std::unique_ptr<DecodeState> start(const Tensor& ids, const Tensor& lengths = {},
                                     int64_t copies = 1);
  /// Takes in the next tokens ids [B, T] and returns the logits after the last of them, [B, vocab];
  /// not recorded.
  Tensor decode(const Tensor& ids, DecodeState& state);
  /// Row b of the state becomes what row rows[b] was (rows [B] i64): a beam that goes on from
  /// another. The memory stays, so both must read the same text.
  void reorder(DecodeState& state, const Tensor& rows) const;
  /// Token by token, i64 [B, T], T <= options.tokens; `end` fills what follows it. Not recorded.
  Tensor generate(const Tensor& ids, const Tensor& lengths, const GenerateOptions& options);

  Config config() const;
  /// Forward floating-point operations on one pair of texts.
  double flops(int64_t tokens, int64_t decoder_tokens) const;
  const EncoderDecoderOptions& options() const { return options_; }

  Embedding embed;
  std::unique_ptr<SinusoidalPosition> sinusoidal;               // or null
  std::unique_ptr<LearnedPosition> position, decoder_position;  // or null
  std::unique_ptr<T5Position> relative, decoder_relative;       // or null
  Dropout dropout, decoder_dropout;
  ModuleList<TransformerBlock> encoder;
  ModuleList<DecoderBlock> decoder;
  std::unique_ptr<Norm> norm, decoder_norm;  // null when norms come last
  std::unique_ptr<Linear> head;              // null when tied

 private:
  Tensor embedded(const Tensor& ids, int64_t first, LearnedPosition* learned);
  Tensor run(const Tensor& ids, const std::vector<CrossMemory>& memory, const Tensor& lengths,
             KvCache* cache);
  std::vector<CrossMemory> memories(const Tensor& memory);
  Tensor scaled(const Tensor& features) const;
  Tensor head_weight() const { return head ? head->whole_weight() : embed.weight; }

  EncoderDecoderOptions options_;
};

}  // namespace heed::nn
