// SentencePiece models made here; tests/interop compares trained ones with `sentencepiece`.
#include "data/sentence_piece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "data/sentencepiece_model.pb.h"
#include "tests/data/charsmaps.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using sentencepiece::ModelProto;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kMark = "\xE2\x96\x81";

ModelProto model(bool bpe) {
  ModelProto proto;
  proto.mutable_trainer_spec()->set_model_type(bpe ? sentencepiece::Trainer::BPE
                                                   : sentencepiece::Trainer::UNIGRAM);
  const auto add = [&](const std::string& text, float score, sentencepiece::Piece::Type type) {
    auto* piece = proto.add_pieces();
    piece->set_piece(text);
    piece->set_score(score);
    piece->set_type(type);
  };
  add("<unk>", 0, sentencepiece::Piece::UNKNOWN);
  add("<s>", 0, sentencepiece::Piece::CONTROL);
  add("</s>", 0, sentencepiece::Piece::CONTROL);
  const auto normal = sentencepiece::Piece::NORMAL;
  add(kMark, -2, normal);                             // 3
  add("a", -3, normal);                               // 4
  add("b", -3.5F, normal);                            // 5
  add("ab", -1, normal);                              // 6
  add(std::string(kMark) + "ab", -1.5F, normal);      // 7
  add("<x>", 0, sentencepiece::Piece::USER_DEFINED);  // 8
  return proto;
}

std::unique_ptr<SentencePieceTokenizer> tokenizer_of(const ModelProto& proto) {
  return std::make_unique<SentencePieceTokenizer>(
      parse_sentence_piece(proto.SerializeAsString(), "m.model"));
}

TEST(SentencePiece, EncodesByBothAlgorithms) {
  for (const bool bpe : {false, true}) {
    const auto tokenizer = tokenizer_of(model(bpe));
    EXPECT_THAT(tokenizer->encode("ab ab"), ElementsAre(7, 7)) << bpe;
    EXPECT_THAT(tokenizer->encode("  ab   ab "), ElementsAre(7, 7)) << "spaces are trimmed";
    EXPECT_THAT(tokenizer->encode("bzzb"), ElementsAre(3, 5, 0, 5)) << "unknown ones are one";
    EXPECT_THAT(tokenizer->encode("ab<x>ab"), ElementsAre(7, 8, 6));
    EXPECT_THAT(tokenizer->encode("</s>").back(), 0) << "plain text is no control piece";
    EXPECT_THAT(tokenizer->encode_with_specials("ab</s>"), ElementsAre(7, 2));
    EXPECT_EQ(tokenizer->decode(tokenizer->encode("ab <x> b")), "ab <x> b");
  }
}

TEST(SentencePiece, BytesStandForWhatIsNoPiece) {
  ModelProto proto = model(false);
  proto.mutable_trainer_spec()->set_byte_fallback(true);
  for (int byte = 0; byte < 256; ++byte) {
    auto* piece = proto.add_pieces();
    piece->set_piece(fmt::format("<0x{:02X}>", byte));
    piece->set_type(sentencepiece::Piece::BYTE);
  }
  const auto tokenizer = tokenizer_of(proto);
  EXPECT_THAT(tokenizer->encode("a\xC3\xA9"), ElementsAre(3, 4, 9 + 0xC3, 9 + 0xA9));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\xC3\xA9\n")), "a\xC3\xA9\n");
  proto.mutable_pieces()->RemoveLast();
  EXPECT_THROW(tokenizer_of(proto), RequestError);
}

TEST(SentencePiece, NormalisesByItsCharsmap) {
  ModelProto proto = model(true);
  proto.mutable_normalizer_spec()->set_precompiled_charsmap(charsmap_of({{"A", "a"}, {"\t", " "}}));
  EXPECT_THAT(tokenizer_of(proto)->encode("\tAb"), ElementsAre(7));
  proto.mutable_normalizer_spec()->set_add_dummy_prefix(false);
  EXPECT_THAT(tokenizer_of(proto)->encode("Ab"), ElementsAre(6));
  proto.mutable_normalizer_spec()->set_remove_extra_whitespaces(false);
  EXPECT_EQ(tokenizer_of(proto)->normalize(" A  b"), fmt::format("{0}a{0}{0}b", kMark));
  proto.mutable_normalizer_spec()->set_escape_whitespaces(false);
  EXPECT_EQ(tokenizer_of(proto)->normalize("a b"), "a b");
}

TEST(SentencePiece, UnusedPiecesAreTakenApart) {
  ModelProto proto = model(true);
  proto.mutable_pieces(7)->set_type(sentencepiece::Piece::UNUSED);
  EXPECT_THAT(tokenizer_of(proto)->encode("ab"), ElementsAre(3, 6));
}

TEST(SentencePiece, IsSavedAsATokenizerJson) {
  const TemporaryFolder folder;
  ModelProto proto = model(true);
  proto.mutable_normalizer_spec()->set_precompiled_charsmap(charsmap_of({{"A", "a"}}));
  folder.write("tokenizer.model", proto.SerializeAsString());
  folder.write("tokenizer_config.json", "{\"tokenizer_class\": \"LlamaTokenizer\"}");
  const auto tokenizer = load_tokenizer(folder.path());
  EXPECT_THAT(tokenizer->start(), ElementsAre(1)) << "as LlamaTokenizer begins texts";
  tokenizer->save(folder / "tokenizer.json");
  const auto read = load_tokenizer(folder.path());
  EXPECT_EQ(read->to_config(), tokenizer->to_config());
  EXPECT_EQ(read->encode("Ab <x> zz"), tokenizer->encode("Ab <x> zz"));
  EXPECT_THAT(read->start(), ElementsAre(1));
  EXPECT_TRUE(load_tokenizer(folder / "tokenizer.model")->start().empty());
}

TEST(SentencePiece, SaysWhatIsWrong) {
  const auto message = [](const ModelProto& proto) -> std::string {
    try {
      tokenizer_of(proto);
      return "(no error)";
    } catch (const RequestError& error) {
      return error.what();
    }
  };
  ModelProto words = model(false);
  words.mutable_trainer_spec()->set_model_type(sentencepiece::Trainer::WORD);
  EXPECT_THAT(message(words), HasSubstr("m.model: sentencepiece: models of type word"));
  ModelProto twice = model(false);
  *twice.add_pieces() = twice.pieces(4);
  EXPECT_THAT(message(twice), HasSubstr("'a' is there twice"));
  ModelProto unknown = model(false);
  unknown.mutable_pieces(0)->set_type(sentencepiece::Piece::NORMAL);
  EXPECT_THAT(message(unknown), HasSubstr("one unknown piece"));
  ModelProto map = model(false);
  map.mutable_normalizer_spec()->set_precompiled_charsmap("\x08\x01");
  EXPECT_THAT(message(map), HasSubstr("charsmap"));
  EXPECT_THROW(parse_sentence_piece("no protobuf", "x"), RequestError);
  EXPECT_THROW(parse_sentence_piece("", "x"), RequestError);
}

}  // namespace
}  // namespace heed::data
