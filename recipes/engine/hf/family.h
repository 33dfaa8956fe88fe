// Families of models on the Hugging Face hub, each a table: which keys of its config.json say what
// options of one of heed's models say, and which of its tensors are which of heed's. Import and
// export read the same tables in the two directions.
//
//   config.json   {"model_type": "llama", "hidden_size": 2048, ...}   <->   model: {type: gpt, ...}
//   tensors       model.layers.3.self_attn.{q,k,v}_proj.weight        <-> blocks.3.attn.qkv.weight
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/config.h"

namespace heed::recipes::hf {

/// A key of config.json and the option with the same meaning.
struct Key {
  std::string theirs;
  std::string ours;  ///< empty: none; the key must then have one of the values in `words`
  /// What the key means where it is left out or null; null: it must be given.
  Config standard = {};
  /// Pairs (theirs, ours) of values with another name; empty: the same value on both sides. Values
  /// that are not listed are refused.
  std::vector<std::pair<Config, Config>> words = {};
};

/// Keys that only together have the meaning of options.
struct Rule {
  std::vector<std::string> theirs;
  /// Sets the options that the keys of `config` mean; a RequestError for what heed cannot do.
  std::function<void(const Config& config, Config& model)> read;
  /// Sets the keys, none of which is there yet.
  std::function<void(const Config& model, Config& config)> write;
};

/// How a tensor of heed's lies in a file of theirs.
enum class Layout {
  same,
  transposed,  ///< [in, out] (GPT-2's Conv1D), not [out, in]; of matrices alone
  channels,    ///< convolution weights [out, in, kh, kw], not [out, kh, kw, in]
  row,         ///< one dimension of extent 1 more, in front
  pointwise,   ///< a matrix [out, in] as a convolution's [out, in, 1, 1]
  square,      ///< rows [heads, n n] as [heads, n, n]
};

/// Tensors by name; "{}" stands for the number of a block. A pattern holds for a name that equals
/// it, and for ones with a last part (".weight", ".bias") behind it on both sides.
struct TensorRow {
  std::string ours;
  std::vector<std::string> theirs;  ///< several: the rows of ours, one behind another
  Layout layout = Layout::same;
  bool heads = false;  ///< several: queries, keys and values, by heads; else of equal size
};

/// A class of transformers, and the options (of heads) that make heed's model the same.
struct Architecture {
  std::string name;
  Config options = Config::map();
  bool classifies = false;  ///< has `classes` outputs, as many as config.json has labels
  bool bare = false;        ///< names of tensors lack the family's prefix
  std::vector<TensorRow> tensors = {};  ///< come before the family's
};

struct Family {
  std::string model_type;  ///< as config.json has it
  std::string model;       ///< heed's: "gpt", "encoder", "vit"
  std::vector<Architecture> architectures;
  Config options;  ///< of heed's model, that all of the family have
  std::vector<Key> keys;
  std::vector<Rule> rules;
  std::vector<std::string> carried;  ///< keys that change nothing that heed computes
  std::vector<TensorRow> tensors;
  std::string prefix;  ///< of names, which files of the bare model leave out ("model.")
  std::string block;   ///< what begins the names of a block's tensors behind it ("layers.")
  std::vector<std::string> derived = {};  ///< endings of tensors that say nothing new
  /// (a tensor, the one that it equals where it is in a file all the same)
  std::vector<std::pair<std::string, std::string>> tied = {};
  /// (what names begin with here, what they begin with in files of other versions)
  std::vector<std::pair<std::string, std::string>> renamed = {};
};

/// The member when it is there and not null, which is no statement.
const Config* given(const Config& config, const std::string& key);

/// All families, those that are preferred for export first.
const std::vector<Family>& families();
/// The family of that model_type, or nullptr.
const Family* find_family(const std::string& model_type);

/// image_size: one number, or height and width.
Rule image_size_rule();

// The tables, a file each.
std::vector<Family> llama_families();  // Llama, Mistral, Qwen2, Qwen3
std::vector<Family> gpt2_families();
std::vector<Family> bert_families();  // BERT, RoBERTa, XLM-RoBERTa
std::vector<Family> vit_families();
std::vector<Family> llava_families();

}  // namespace heed::recipes::hf
