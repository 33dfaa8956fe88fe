// Text encoders of BERT's shape (Devlin et al., arXiv 1810.04805; MiniLM, arXiv 2002.10957) and
// RoBERTa's (Liu et al., arXiv 1907.11692; XLM-RoBERTa, arXiv 1911.02116), whose positions begin
// behind the padding's, and whose classifier has the dense layer that is BERT's pooler.
#include "recipes/engine/hf/activations.h"
#include "recipes/engine/hf/family.h"
#include "recipes/engine/hf/limits.h"

namespace heed::recipes::hf {
namespace {

// Whether a bare model has a pooler: a parameter of the class in transformers, so written where
// it has none; read_model's caller looks into the file too.
Rule pooling() {
  return {{"add_pooling_layer"},
          [](const Config& config, Config& model) {
            const Config* pools = given(config, "add_pooling_layer");
            model.set("pooler", pools == nullptr || pools->as_bool());
          },
          [](const Config& model, Config& config) {
            const bool bare = !model.at("mlm").as_bool() && model.at("classes") == Config(0);
            if (bare && !model.at("pooler").as_bool()) config.set("add_pooling_layer", false);
          }};
}

// The table's first rows, up to the padding's own, belong to no position.
Rule positions_behind_padding() {
  return {{"max_position_embeddings", "pad_token_id"},
          [](const Config& config, Config& model) {
            const Config* padding = given(config, "pad_token_id");
            const Config* table = given(config, "max_position_embeddings");
            for (const Config* rows : {padding, table}) {
              if (rows == nullptr) continue;
              check_limit(*rows, rows == padding ? "pad_token_id" : "max_position_embeddings",
                          rows == padding ? "position_offset" : "context");
            }
            const int64_t pad = padding == nullptr ? 1 : padding->as_integer();
            const int64_t rows = table == nullptr ? 512 : table->as_integer();
            if (pad < 0 || pad >= rows - 1) {
              fail_request(
                  (padding == nullptr ? config : *padding).where(),
                  fmt::format("'pad_token_id' is {}, which leaves no positions of {}", pad, rows));
            }
            model.set("position_offset", pad + 1);
            model.set("context", rows - pad - 1);
          },
          [](const Config& model, Config& config) {
            const int64_t offset = model.at("position_offset").as_integer();
            config.set("max_position_embeddings", model.at("context").as_integer() + offset);
            config.set("pad_token_id", offset - 1);
          }};
}

Family bert() {
  Family f;
  f.model_type = "bert";
  f.model = "encoder";
  f.architectures = {
      {"BertForMaskedLM", Config::Map{{"mlm", true}, {"pooler", false}, {"mlp", "gelu"}}},
      {"BertForSequenceClassification", Config::Map{{"mlm", false}, {"pooler", true}}, true},
      {"BertModel", Config::Map{{"mlm", false}}, false, /*bare=*/true},
  };
  f.options = Config::Map{
      {"norm", "layer_norm"}, {"position", "learned"}, {"norm_first", false}, {"pool", "cls"}};
  f.keys = {
      {"vocab_size", "vocab"},
      {"max_position_embeddings", "context", 512},
      {"num_hidden_layers", "layers"},
      {"hidden_size", "dim"},
      {"num_attention_heads", "heads"},
      {"intermediate_size", "hidden"},
      {"hidden_act", "mlp", "gelu", activations()},
      {"layer_norm_eps", "norm_eps", 1e-12},
      {"type_vocab_size", "token_types", 2},
      {"hidden_dropout_prob", "dropout", 0.1},
      {"attention_probs_dropout_prob", "attention_dropout", 0.1},
      {"initializer_range", "init_std", 0.02},
      {"position_embedding_type", "", "absolute", {{"absolute", Config()}}},
      {"tie_word_embeddings", "", true, {{true, Config()}}},
  };
  f.rules = {pooling()};
  f.carried = {"classifier_dropout",   "directionality",
               "pooler_fc_size",       "pooler_num_attention_heads",
               "pooler_num_fc_layers", "pooler_size_per_head",
               "pooler_type"};
  f.prefix = "bert.";
  f.block = "layer.";
  f.tensors = {
      {"embed", {"bert.embeddings.word_embeddings"}},
      {"position", {"bert.embeddings.position_embeddings"}},
      {"token_types", {"bert.embeddings.token_type_embeddings"}},
      {"norm", {"bert.embeddings.LayerNorm"}},
      {"blocks.{}.attn.qkv",
       {"bert.encoder.layer.{}.attention.self.query", "bert.encoder.layer.{}.attention.self.key",
        "bert.encoder.layer.{}.attention.self.value"},
       Layout::same,
       /*heads=*/true},
      {"blocks.{}.attn.out", {"bert.encoder.layer.{}.attention.output.dense"}},
      {"blocks.{}.norm1", {"bert.encoder.layer.{}.attention.output.LayerNorm"}},
      {"blocks.{}.mlp.up", {"bert.encoder.layer.{}.intermediate.dense"}},
      {"blocks.{}.mlp.down", {"bert.encoder.layer.{}.output.dense"}},
      {"blocks.{}.norm2", {"bert.encoder.layer.{}.output.LayerNorm"}},
      {"pooler", {"bert.pooler.dense"}},
      {"classifier", {"classifier"}},
      {"mlm_transform", {"cls.predictions.transform.dense"}},
      {"mlm_norm", {"cls.predictions.transform.LayerNorm"}},
      {"mlm_bias", {"cls.predictions.bias"}},
  };
  f.derived = {"embeddings.position_ids", "embeddings.token_type_ids"};
  f.tied = {{"cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"},
            {"cls.predictions.decoder.bias", "cls.predictions.bias"}};
  return f;
}

// BERT's table with "roberta." for "bert.", and other names of heads.
Family roberta(const std::string& model_type, const std::string& class_name) {
  Family f = bert();
  f.model_type = model_type;
  f.prefix = "roberta.";
  const auto renamed = [](std::string name) {
    return name.starts_with("bert.") ? fmt::format("roberta.{}", name.substr(5)) : name;
  };
  std::erase_if(f.tensors, [](const TensorRow& row) { return row.ours.starts_with("mlm"); });
  for (TensorRow& row : f.tensors) {
    for (std::string& name : row.theirs) name = renamed(name);
  }
  f.tensors.insert(f.tensors.end(), {{"mlm_transform", {"lm_head.dense"}},
                                     {"mlm_norm", {"lm_head.layer_norm"}},
                                     {"mlm_bias", {"lm_head.bias"}}});
  f.tied = {{"lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight"},
            {"lm_head.decoder.bias", "lm_head.bias"}};
  f.architectures = {
      {class_name + "ForMaskedLM", Config::Map{{"mlm", true}, {"pooler", false}, {"mlp", "gelu"}}},
      {class_name + "ForSequenceClassification",
       Config::Map{{"mlm", false}, {"pooler", true}},
       true,
       false,
       {{"pooler", {"classifier.dense"}}, {"classifier", {"classifier.out_proj"}}}},
      {class_name + "Model", Config::Map{{"mlm", false}}, false, /*bare=*/true},
  };
  std::erase_if(f.keys, [](const Key& key) { return key.theirs == "max_position_embeddings"; });
  f.rules.push_back(positions_behind_padding());
  return f;
}

}  // namespace

std::vector<Family> bert_families() {
  return {bert(), roberta("roberta", "Roberta"), roberta("xlm-roberta", "XLMRoberta")};
}

}  // namespace heed::recipes::hf
