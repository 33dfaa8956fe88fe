// What the tokens seen so far leave behind, for generating token by token: their keys and values,
// or a state of constant size.
#pragma once

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

class KvCache : public DecodeState {
 public:
  /// An empty cache of `layers` layers; buffers are allocated at the first append, for `capacity`
  /// tokens, and doubled as needed.
  explicit KvCache(int64_t layers, int64_t capacity = 64);

  int64_t length() const override { return length_; }
  int64_t bytes() const override;

  /// Adds k [B, Hkv, T, D] and v [B, Hkv, T, Dv] of T new tokens to a layer, and returns views of
  /// all its keys and values, [B, Hkv, length() + T, D]: buffers are [B, Hkv, capacity, D]. Every
  /// append changes the memory in place, so it is used without recording.
  virtual std::pair<Tensor, Tensor> append(int64_t layer, const Tensor& k, const Tensor& v);
  /// Appends and gives the attention of q [B, H, T, D] over all of the layer's keys and values.
  virtual Tensor attend(int64_t layer, const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionSpec& spec);

  /// What a mechanism that keeps no keys carries from token to token; undefined at first.
  Tensor& state(int64_t layer) { return at(layer).state; }

  /// Counts `tokens` new tokens as stored, after all layers have appended them.
  void advance(int64_t tokens) { length_ += tokens; }
  /// Row b of the batch becomes what row rows[b] was; rows [B] i64.
  virtual void reorder(const Tensor& rows);
  /// Forgets all tokens but the first `length`; buffers stay. A state can forget all or nothing.
  void truncate(int64_t length);

 protected:
  struct Layer {
    Tensor keys, values, state;
  };
  Layer& at(int64_t layer);
  /// The layer, once the rows [B, Hkv, T, D] to append are checked.
  Layer& checked(int64_t layer, const Tensor& k, const Tensor& v);

  std::vector<Layer>& layers() { return layers_; }
  const std::vector<Layer>& layers() const { return layers_; }

 private:
  std::vector<Layer> layers_;
  int64_t capacity_;
  int64_t length_ = 0;
};

}  // namespace heed::nn
