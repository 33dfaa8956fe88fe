#include "data/sentence_piece_model.h"

#include <array>
#include <cmath>
#include <unordered_set>

#include "core/base64.h"
#include "core/text.h"
#include "data/byte_fallback.h"
#include "data/sentencepiece_model.pb.h"
#include "data/tokenizer_layout.h"

namespace heed::data {
namespace {

using Type = SentencePieceModel::Type;

constexpr std::array<const char*, 6> kTypes = {"normal",       "unknown", "control",
                                               "user_defined", "unused",  "byte"};

// The rules that both forms have to keep.
void check(const SentencePieceModel& model, const SourceLocation& where) {
  std::unordered_set<std::string_view> seen;
  ByteTokens bytes;
  size_t unknown = 0;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePieceModel::Piece& piece = model.pieces[id];
    if (piece.text.empty() || find_invalid_utf8(piece.text) != std::string::npos) {
      fail_request(where, fmt::format("sentencepiece: piece {} is {}", id,
                                      piece.text.empty() ? "empty" : "not UTF-8"));
    }
    if (!seen.insert(piece.text).second) {
      fail_request(where, fmt::format("sentencepiece: the piece '{}' is there twice", piece.text));
    }
    if (!std::isfinite(piece.score)) {
      fail_request(where, fmt::format("sentencepiece: the score of '{}' is {}", piece.text,
                                      static_cast<double>(piece.score)));
    }
    unknown += piece.type == Type::unknown ? 1 : 0;
    if (piece.type != Type::byte) continue;
    const std::optional<char> byte = byte_of_name(piece.text);
    if (!byte) {
      fail_request(where, fmt::format("sentencepiece: '{}' is no byte's name", piece.text));
    }
    bytes.add(*byte, static_cast<TokenId>(id));
  }
  if (find_invalid_utf8(model.unknown_surface) != std::string::npos) {
    fail_request(where, "sentencepiece: the unknown token's surface is not UTF-8");
  }
  if (unknown != 1) {
    fail_request(where,
                 fmt::format("sentencepiece: there must be one unknown piece, not {}", unknown));
  }
  const std::optional<int> missing = bytes.missing();
  if (model.byte_fallback && missing) {
    fail_request(where, fmt::format("sentencepiece: the fallback to bytes lacks {}",
                                    name_of_byte(*missing)));
  }
  for (const auto* ids : {&model.start, &model.finish}) {
    for (const TokenId id : *ids) {
      if (id >= 0 && static_cast<size_t>(id) < model.pieces.size()) continue;
      fail_request(where, fmt::format("sentencepiece: texts are framed by the token {} of {}", id,
                                      model.pieces.size()));
    }
  }
}

// The id of a control piece, or -1.
TokenId control_id(const SentencePieceModel& model, int64_t id) {
  const bool there = id >= 0 && id < std::ssize(model.pieces) &&
                     model.pieces[static_cast<size_t>(id)].type == Type::control;
  return there ? static_cast<TokenId>(id) : -1;
}

}  // namespace

SentencePieceModel parse_sentence_piece(const std::string& bytes, const std::string& name) {
  const SourceLocation where{name};
  sentencepiece::ModelProto proto;
  if (!proto.ParseFromString(bytes) || proto.pieces().empty()) {
    fail_request(where, "this is no SentencePiece model");
  }
  SentencePieceModel model;
  const sentencepiece::Trainer& trainer = proto.trainer_spec();
  if (trainer.model_type() == sentencepiece::Trainer::WORD ||
      trainer.model_type() == sentencepiece::Trainer::CHAR) {
    const bool words = trainer.model_type() == sentencepiece::Trainer::WORD;
    fail_request(where, fmt::format("sentencepiece: models of type {} are not supported (known: "
                                    "unigram, bpe)",
                                    words ? "word" : "char"));
  }
  if (!proto.denormalizer_spec().precompiled_charsmap().empty()) {
    fail_request(where, "sentencepiece: a denormalizer is not supported");
  }
  model.bpe = trainer.model_type() == sentencepiece::Trainer::BPE;
  model.byte_fallback = trainer.byte_fallback();
  model.unknown_surface = trainer.unk_surface();
  model.space_behind = trainer.treat_whitespace_as_suffix();
  const sentencepiece::Normalizer& normalizer = proto.normalizer_spec();
  try {
    model.charsmap = Charsmap(normalizer.precompiled_charsmap());
  } catch (const RequestError& error) {
    fail_request(where, error.what());
  }
  model.dummy_prefix = normalizer.add_dummy_prefix();
  model.remove_extra_spaces = normalizer.remove_extra_whitespaces();
  model.escape_spaces = normalizer.escape_whitespaces();
  for (const sentencepiece::Piece& piece : proto.pieces()) {
    model.pieces.push_back(
        {piece.piece(), piece.score(), static_cast<Type>(static_cast<int>(piece.type()) - 1)});
  }
  model.bos = control_id(model, trainer.bos_id());
  model.eos = control_id(model, trainer.eos_id());
  check(model, where);
  return model;
}

SentencePieceModel read_sentence_piece(const Config& document) {
  SentencePieceModel model;
  const Config& algorithm = document.at("algorithm");
  if (algorithm != Config("unigram") && algorithm != Config("bpe")) {
    fail_request(algorithm.where(), "sentencepiece: the algorithm is unigram or bpe");
  }
  model.bpe = algorithm == Config("bpe");
  model.byte_fallback = document.at("byte_fallback").as_bool();
  model.unknown_surface = document.at("unknown_surface").as_string();
  for (const Config& id : document.at("start").as_list())
    model.start.push_back(layout::read_id(id));
  for (const Config& id : document.at("finish").as_list()) {
    model.finish.push_back(layout::read_id(id));
  }
  const Config& normalizer = document.at("normalizer");
  const Config& charsmap = normalizer.at("charsmap");
  const std::optional<std::string> bytes = from_base64(charsmap.as_string());
  if (!bytes) fail_request(charsmap.where(), "sentencepiece: the charsmap is not base64");
  try {
    model.charsmap = Charsmap(*bytes);
  } catch (const RequestError& error) {
    fail_request(charsmap.where(), error.what());
  }
  model.dummy_prefix = normalizer.at("dummy_prefix").as_bool();
  model.remove_extra_spaces = normalizer.at("remove_extra_spaces").as_bool();
  model.escape_spaces = normalizer.at("escape_spaces").as_bool();
  model.space_behind = normalizer.at("space_behind").as_bool();
  for (const Config& entry : document.at("pieces").as_list()) {
    const Config::List& parts = entry.as_list();
    if (parts.size() != 2 && parts.size() != 3) {
      fail_request(entry.where(), "sentencepiece: a piece is its text, its score and its type");
    }
    Type type = Type::normal;
    if (parts.size() == 3) {
      const auto found = std::find(kTypes.begin(), kTypes.end(), parts[2].as_string());
      if (found == kTypes.end()) {
        fail_request(parts[2].where(),
                     fmt::format("sentencepiece: no piece is of type '{}'", parts[2].as_string()));
      }
      type = static_cast<Type>(found - kTypes.begin());
    }
    model.pieces.push_back({parts[0].as_string(), static_cast<float>(parts[1].as_number()), type});
  }
  const auto id_of = [&](const char* key) {
    const Config* id = layout::given(document, key);
    return id == nullptr ? TokenId{-1} : control_id(model, id->as_integer());
  };
  model.bos = id_of("bos");
  model.eos = id_of("eos");
  check(model, document.at("pieces").where());
  return model;
}

Config write_sentence_piece(const SentencePieceModel& model) {
  Config::List pieces;
  for (const SentencePieceModel::Piece& piece : model.pieces) {
    Config::List entry = {piece.text, static_cast<double>(piece.score)};
    if (piece.type != Type::normal) entry.emplace_back(kTypes[static_cast<size_t>(piece.type)]);
    pieces.emplace_back(std::move(entry));
  }
  const auto list = [](const std::vector<TokenId>& ids) {
    Config::List written;
    for (const TokenId id : ids) written.emplace_back(int64_t{id});
    return written;
  };
  const auto id = [](TokenId value) { return value < 0 ? Config() : Config(int64_t{value}); };
  return Config::Map{{"version", "1.0"},
                     {"type", "sentencepiece"},
                     {"algorithm", model.bpe ? "bpe" : "unigram"},
                     {"byte_fallback", model.byte_fallback},
                     {"unknown_surface", model.unknown_surface},
                     {"bos", id(model.bos)},
                     {"eos", id(model.eos)},
                     {"start", list(model.start)},
                     {"finish", list(model.finish)},
                     {"normalizer", Config::Map{{"charsmap", to_base64(model.charsmap.bytes())},
                                                {"dummy_prefix", model.dummy_prefix},
                                                {"remove_extra_spaces", model.remove_extra_spaces},
                                                {"escape_spaces", model.escape_spaces},
                                                {"space_behind", model.space_behind}}},
                     {"pieces", std::move(pieces)}};
}

}  // namespace heed::data
