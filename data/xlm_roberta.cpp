#include "data/xlm_roberta.h"

#include <array>
#include <filesystem>

#include "core/base64.h"
#include "core/files.h"
#include "data/sentence_piece_model.h"

namespace heed::data {
namespace {

namespace fs = std::filesystem;
using Type = SentencePieceModel::Type;

constexpr std::array<const char*, 3> kTheirFirst = {"<unk>", "<s>", "</s>"};
constexpr std::array<const char*, 4> kOurFirst = {"<s>", "<pad>", "</s>", "<unk>"};
constexpr int64_t kUnknown = 3;

void check_class(const std::string& path) {
  const std::string beside = fs::path(path).parent_path() / "tokenizer_config.json";
  if (!fs::exists(beside)) return;
  const Config config = read_json_file(beside);
  const Config* name = config.find("tokenizer_class");
  if (name == nullptr || !name->is_string()) return;
  if (name->as_string().starts_with("XLMRobertaTokenizer")) return;
  fail_request(name->where(),
               fmt::format("tokenizer: a {} of '{}', whose ids are shifted in another way than "
                           "XLMRobertaTokenizer's",
                           kXlmRobertaModel, name->as_string()));
}

void check_model(const SentencePieceModel& model, const std::string& path) {
  const SourceLocation where{path};
  if (model.bpe) fail_request(where, "tokenizer: XLM-R's model is a unigram one, this is BPE");
  for (size_t id = 0; id < kTheirFirst.size(); ++id) {
    const bool there = id < model.pieces.size() && model.pieces[id].text == kTheirFirst[id];
    if (there) continue;
    fail_request(where, fmt::format("tokenizer: XLM-R's model begins with {}, this one has {} in "
                                    "place of '{}'",
                                    fmt::join(kTheirFirst, ", "),
                                    id < model.pieces.size() ? model.pieces[id].text : "nothing",
                                    kTheirFirst[id]));
  }
  for (size_t id = kTheirFirst.size(); id < model.pieces.size(); ++id) {
    const Type type = model.pieces[id].type;
    if (type == Type::normal) continue;
    fail_request(where, fmt::format("tokenizer: XLM-R's ids have no place for '{}', which is {}",
                                    model.pieces[id].text,
                                    type == Type::byte           ? "a byte"
                                    : type == Type::user_defined ? "a user-defined symbol"
                                                                 : "no part of texts"));
  }
}

Config special(int64_t id, const std::string& text, bool lstrip) {
  return Config::Map{{"id", id},         {"content", text}, {"single_word", false},
                     {"lstrip", lstrip}, {"rstrip", false}, {"normalized", false},
                     {"special", true}};
}

// <s> A </s>, and <s> A </s> </s> B </s>.
Config frame() {
  const auto token = [](const char* text) {
    return Config::Map{{"SpecialToken", Config::Map{{"id", text}, {"type_id", 0}}}};
  };
  const auto text = [](const char* which) {
    return Config::Map{{"Sequence", Config::Map{{"id", which}, {"type_id", 0}}}};
  };
  const auto known = [](const char* name, int64_t id) {
    return Config::Map{{"id", name}, {"ids", Config::List{id}}, {"tokens", Config::List{name}}};
  };
  return Config::Map{
      {"type", "TemplateProcessing"},
      {"single", Config::List{token("<s>"), text("A"), token("</s>")}},
      {"pair", Config::List{token("<s>"), text("A"), token("</s>"), token("</s>"), text("B"),
                            token("</s>")}},
      {"special_tokens", Config::Map{{"<s>", known("<s>", 0)}, {"</s>", known("</s>", 2)}}}};
}

Config metaspace() {
  return Config::Map{{"type", "Metaspace"},
                     {"replacement", "\xE2\x96\x81"},
                     {"prepend_scheme", "always"},
                     {"split", true}};
}

}  // namespace

Config read_xlm_roberta(const std::string& path) {
  check_class(path);
  const SentencePieceModel model = parse_sentence_piece(read_file(path), path);
  check_model(model, path);
  Config vocab = Config::list(), added = Config::list();
  const auto add_special = [&](const char* text, bool lstrip) {
    added.append(special(static_cast<int64_t>(vocab.as_list().size()), text, lstrip));
    vocab.append(Config::List{text, 0.0});
  };
  for (const char* text : kOurFirst) add_special(text, false);
  for (size_t id = kTheirFirst.size(); id < model.pieces.size(); ++id) {
    const SentencePieceModel::Piece& piece = model.pieces[id];
    vocab.append(Config::List{piece.text, static_cast<double>(piece.score)});
  }
  add_special("<mask>", true);
  Config normalizer;
  if (!model.charsmap.bytes().empty()) {
    normalizer = Config::Map{{"type", "Precompiled"},
                             {"precompiled_charsmap", to_base64(model.charsmap.bytes())}};
  }
  return Config::Map{
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", normalizer},
      {"pre_tokenizer",
       Config::Map{
           {"type", "Sequence"},
           {"pretokenizers", Config::List{Config::Map{{"type", "WhitespaceSplit"}}, metaspace()}}}},
      {"post_processor", frame()},
      {"decoder", metaspace()},
      {"model",
       Config::Map{
           {"type", "Unigram"}, {"unk_id", kUnknown}, {"vocab", vocab}, {"byte_fallback", false}}}};
}

}  // namespace heed::data
