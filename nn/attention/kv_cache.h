// What the tokens seen so far leave behind, for generating token by token: their keys and values,
// or a state of constant size.
#pragma once

#include <limits>
#include <utility>
#include <vector>

#include "kernels/attention/attention.h"

namespace heed::nn {

/// What a model carries from one decoding step to the next.
struct DecodeState {
  virtual ~DecodeState() = default;
  /// Tokens taken in so far.
  virtual int64_t length() const = 0;
  /// Memory that these tokens take, in bytes: their keys and values, or the states, over all layers
  /// and the whole batch. Room for tokens to come does not count.
  virtual int64_t bytes() const = 0;
};

/// Which of the tokens before it a token can see, now and later: the first `first` of the sequence
/// and the `behind` nearest to it.
struct KeySpan {
  static constexpr int64_t kAll = std::numeric_limits<int64_t>::max();

  int64_t first = 0;
  int64_t behind = kAll;

  bool bounded() const { return behind != kAll; }
};

class KvCache : public DecodeState {
 public:
  /// An empty cache of `layers` layers; buffers are allocated at the first append, for `capacity`
  /// tokens, and doubled as needed.
  explicit KvCache(int64_t layers, int64_t capacity = 64);

  int64_t length() const override { return length_; }
  int64_t bytes() const override;

  /// Tokens whose keys the layer still has: all, or, where attend() was given a span, the first
  /// ones and at least as many of the last as the span reaches. What a pattern counts its keys by.
  int64_t stored(int64_t layer) const;

  /// Adds k [B, Hkv, T, D] and v [B, Hkv, T, Dv] of T new tokens to a layer, and returns views of
  /// all its keys and values, [B, Hkv, stored() + T, D]: buffers are [B, Hkv, capacity, D]. Every
  /// append changes the memory in place, so it is used without recording.
  virtual std::pair<Tensor, Tensor> append(int64_t layer, const Tensor& k, const Tensor& v);
  /// Appends and gives the attention of q [B, H, T, D] over all of the layer's keys and values, for
  /// which `spec` is made: query 0 is key stored(). Keys that no later token sees by `span` are
  /// then forgotten, some at a time: a layer holds less than first + 1.25 behind + 17 between
  /// steps.
  virtual Tensor attend(int64_t layer, const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionSpec& spec, const KeySpan& span = {});

  /// What a mechanism that keeps no keys carries from token to token; undefined at first.
  Tensor& state(int64_t layer) { return at(layer).state; }

  /// Counts `tokens` new tokens as stored, after all layers have appended them.
  void advance(int64_t tokens) { length_ += tokens; }
  /// Row b of the batch becomes what row rows[b] was; rows [B] i64.
  virtual void reorder(const Tensor& rows);
  /// Forgets all tokens but the first `length`; buffers stay. A state can forget all or nothing,
  /// and a layer with a span only as far as it still has what the next token would see.
  void truncate(int64_t length);

 protected:
  struct Layer {
    Tensor keys, values, state;
    KeySpan span = {};
    int64_t dropped = 0;  ///< tokens that went, behind the span's first ones
  };
  Layer& at(int64_t layer);
  /// The layer, once the rows [B, Hkv, T, D] to append are checked.
  Layer& checked(int64_t layer, const Tensor& k, const Tensor& v);

  std::vector<Layer>& layers() { return layers_; }
  const std::vector<Layer>& layers() const { return layers_; }

 private:
  /// Forgets what no token after the first `seen` of the sequence sees.
  static void trim(Layer& layer, int64_t seen);

  std::vector<Layer> layers_;
  int64_t capacity_;
  int64_t length_ = 0;
};

}  // namespace heed::nn
