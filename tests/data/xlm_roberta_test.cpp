#include "data/xlm_roberta.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "data/sentencepiece_model.pb.h"
#include "data/tokenizer.h"
#include "tests/core/raises.h"
#include "tests/recipes/scratch.h"

namespace heed::data {
namespace {

using recipes::Scratch;
using sentencepiece::ModelProto;
using ::testing::HasSubstr;

// A unigram model with XLM-R's first pieces.
ModelProto model() {
  ModelProto proto;
  proto.mutable_trainer_spec()->set_model_type(sentencepiece::Trainer::UNIGRAM);
  const auto add = [&](const char* text, float score, sentencepiece::Piece::Type type) {
    auto* piece = proto.add_pieces();
    piece->set_piece(text);
    piece->set_score(score);
    piece->set_type(type);
  };
  add("<unk>", 0, sentencepiece::Piece::UNKNOWN);
  add("<s>", 0, sentencepiece::Piece::CONTROL);
  add("</s>", 0, sentencepiece::Piece::CONTROL);
  add("\u2581a", -1, sentencepiece::Piece::NORMAL);
  add("\u2581", -2, sentencepiece::Piece::NORMAL);
  add("b", -3, sentencepiece::Piece::NORMAL);
  add("ab", -4, sentencepiece::Piece::NORMAL);
  return proto;
}

std::string written(const Scratch& folder, const ModelProto& proto) {
  return folder.write("sentencepiece.bpe.model", proto.SerializeAsString());
}

TEST(XlmRoberta, ItsIdsAreShifted) {
  const Scratch folder;
  written(folder, model());
  ASSERT_TRUE(has_tokenizer_files(folder.path()));
  const auto tokenizer = load_tokenizer(folder.path());
  EXPECT_EQ(tokenizer->vocab_size(), 9);
  EXPECT_EQ(tokenizer->token(0), "<s>");
  EXPECT_EQ(tokenizer->token(1), "<pad>");
  EXPECT_EQ(tokenizer->token(8), "<mask>");
  EXPECT_EQ(tokenizer->encode("a ab"), (std::vector<TokenId>{4, 4, 6}));  // "_a", "_a" "b"
  EXPECT_EQ(tokenizer->encode("b?"), (std::vector<TokenId>{5, 6, 3}));
  EXPECT_EQ(tokenizer->encode_framed("a").ids, (std::vector<TokenId>{0, 4, 2}));
  EXPECT_EQ(tokenizer->encode_pair("a", "b").ids, (std::vector<TokenId>{0, 4, 2, 2, 5, 6, 2}));
  EXPECT_EQ(tokenizer->encode_with_specials("a <mask>"), (std::vector<TokenId>{4, 8}));
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{4, 5, 6}), "a b");
}

TEST(XlmRoberta, TheFileAloneAndWhatIsSavedOfItSayTheSame) {
  const Scratch folder;
  const auto tokenizer = load_tokenizer(written(folder, model()));
  tokenizer->save(folder.path("tokenizer.json"));
  const auto again = load_tokenizer(folder.path("tokenizer.json"));
  EXPECT_EQ(again->encode_framed("a ab?").ids, tokenizer->encode_framed("a ab?").ids);
}

TEST(XlmRoberta, OtherModelsAreRefused) {
  const auto error = [](const ModelProto& proto, const std::string& config = "") {
    const Scratch folder;
    if (!config.empty()) folder.write("tokenizer_config.json", config);
    const std::string path = written(folder, proto);
    return request_error([&] { load_tokenizer(path); });
  };
  EXPECT_EQ(error(model(), R"({"tokenizer_class": "XLMRobertaTokenizerFast"})"), "no error");
  EXPECT_THAT(error(model(), R"({"tokenizer_class": "MBartTokenizer"})"),
              HasSubstr("tokenizer_config.json:1:21: tokenizer: a sentencepiece.bpe.model of "
                        "'MBartTokenizer'"));
  ModelProto bpe = model();
  bpe.mutable_trainer_spec()->set_model_type(sentencepiece::Trainer::BPE);
  EXPECT_THAT(error(bpe), HasSubstr("this is BPE"));
  ModelProto padded = model();
  padded.mutable_pieces(1)->set_piece("<pad>");
  EXPECT_THAT(error(padded), HasSubstr("has <pad> in place of '<s>'"));
  ModelProto user = model();
  user.mutable_pieces(6)->set_type(sentencepiece::Piece::USER_DEFINED);
  EXPECT_THAT(error(user), HasSubstr("no place for 'ab', which is a user-defined symbol"));
}

}  // namespace
}  // namespace heed::data
