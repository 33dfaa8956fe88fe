// WordPiece and Unigram of tokenizer.json, on small files made here; tests/interop compares large
// ones with `tokenizers`.
#include "data/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "core/base64.h"
#include "core/files.h"
#include "data/unigram.h"
#include "tests/data/charsmaps.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Config added(const std::vector<std::string>& names) {
  Config::List list;
  for (size_t id = 0; id < names.size(); ++id) {
    list.push_back(Config::Map{{"id", static_cast<int64_t>(id)}, {"content", names[id]}});
  }
  return list;
}

Config bert() {
  Config vocab = Config::map();
  int64_t id = 0;
  for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able",
                            ",", "the", "cafe", "##s", "\xE4\xB8\xAD", "."}) {
    vocab.set(token, id++);
  }
  return Config::Map{
      {"version", "1.0"},
      {"truncation", Config()},
      {"padding", Config()},
      {"added_tokens", added({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})},
      {"normalizer", Config::Map{{"type", "BertNormalizer"}, {"lowercase", true}}},
      {"pre_tokenizer", Config::Map{{"type", "BertPreTokenizer"}}},
      {"post_processor", Config::Map{{"type", "BertProcessing"},
                                     {"sep", Config::List{"[SEP]", 3}},
                                     {"cls", Config::List{"[CLS]", 2}}}},
      {"decoder", Config::Map{{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
      {"model", Config::Map{{"type", "WordPiece"},
                            {"unk_token", "[UNK]"},
                            {"continuing_subword_prefix", "##"},
                            {"max_input_chars_per_word", 10},
                            {"vocab", vocab}}}};
}

std::unique_ptr<Tokenizer> parsed(const Config& document) { return parse_tokenizer(document, "x"); }

TEST(WordPiece, TakesTheLongestTokenFirst) {
  const auto bert_tokenizer = parsed(bert());
  EXPECT_STREQ(bert_tokenizer->type(), "word_piece");
  EXPECT_THAT(bert_tokenizer->encode("unaffable, the"), ElementsAre(5, 6, 7, 8, 9));
  EXPECT_THAT(bert_tokenizer->encode("unaffablex"), ElementsAre(1)) << "whole words are unknown";
  EXPECT_THAT(bert_tokenizer->encode("thethethethe"), ElementsAre(1)) << "longer than a word";
  EXPECT_THAT(bert_tokenizer->encode("aff"), ElementsAre(1)) << "only within words";
}

TEST(WordPiece, NormalisesAsBertDoes) {
  const auto tokenizer = parsed(bert());
  EXPECT_THAT(tokenizer->encode("The CAF\xC3\x89s"), ElementsAre(9, 10, 11));
  EXPECT_THAT(tokenizer->encode("the\xE4\xB8\xADthe"), ElementsAre(9, 12, 9));
  EXPECT_THAT(tokenizer->encode("th\x01\xE2\x80\x8B"
                                "e\t\xC2\xA0the"),
              ElementsAre(9, 9));
  EXPECT_THAT(tokenizer->encode("\xFFthe"), ElementsAre(9)) << "what is not UTF-8 is dropped";
  EXPECT_THAT(tokenizer->encode("[SEP]"), ElementsAre(1, 1, 1)) << "plain text";
  EXPECT_THAT(tokenizer->encode_with_specials("the[SEP]the"), ElementsAre(9, 3, 9));
}

TEST(WordPiece, FramesTextsAndPairs) {
  const auto tokenizer = parsed(bert());
  EXPECT_THAT(tokenizer->encode_framed("the").ids, ElementsAre(2, 9, 3));
  EXPECT_THAT(tokenizer->encode_framed("the the the the", 4).ids, ElementsAre(2, 9, 9, 3));
  const FramedTokens pair = tokenizer->encode_pair("the", "cafe");
  EXPECT_THAT(pair.ids, ElementsAre(2, 9, 3, 10, 3));
  EXPECT_THAT(pair.types, ElementsAre(0, 0, 0, 1, 1));
  EXPECT_THAT(tokenizer->start(), ElementsAre(2));
  EXPECT_THAT(tokenizer->finish(), ElementsAre(3));
}

TEST(WordPiece, DecodesWithoutSpacesBeforeMarks) {
  const auto tokenizer = parsed(bert());
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("the unaffable, the cafes.")),
            "the unaffable, the cafes.");
  EXPECT_EQ(tokenizer->token(6), "aff");
  EXPECT_EQ(tokenizer->token(9), " the");
}

TEST(WordPiece, VocabTxtIsAFileOfTheSame) {
  const TemporaryFolder folder;
  folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nThe\n##s\n");
  EXPECT_THAT(load_tokenizer(folder.path())->encode_framed("Thes").ids, ElementsAre(2, 5, 7, 3));
  folder.write("tokenizer_config.json", "{\"do_lower_case\": false}");
  EXPECT_THAT(load_tokenizer(folder.path())->encode("Thes"), ElementsAre(6, 7));
  folder.write("vocab.txt", "[UNK]\nthe\nthe\n");
  EXPECT_THROW(load_tokenizer(folder.path()), RequestError);
}

TEST(WordPiece, BertBaseUncased) {
  HEED_REAL_DATA(folder, "tokenizers/bert-base-uncased");
  const auto tokenizer = load_tokenizer(folder);
  EXPECT_EQ(tokenizer->vocab_size(), 30522);
  EXPECT_THAT(tokenizer->encode_framed("Hello world").ids, ElementsAre(101, 7592, 2088, 102));
}

TEST(AddedTokens, TakeSpacesAlongAndStandAlone) {
  Config document = bert();
  Config& list = *document.find("added_tokens");
  list.append(Config::Map{{"id", 14}, {"content", "<m>"}, {"lstrip", true}});
  list.append(
      Config::Map{{"id", 15}, {"content", "caf"}, {"special", false}, {"single_word", true}});
  list.append(Config::Map{{"id", 16}, {"content", "UN"}, {"special", false}, {"normalized", true}});
  const auto tokenizer = parsed(document);
  EXPECT_EQ(tokenizer->vocab_size(), 17);
  EXPECT_THAT(tokenizer->encode_with_specials("the  <m> the"), ElementsAre(9, 14, 9));
  EXPECT_THAT(tokenizer->encode("caf cafe"), ElementsAre(15, 10)) << "also in plain text";
  EXPECT_THAT(tokenizer->encode("unthe"), ElementsAre(16, 9)) << "found in the normalised text";
  EXPECT_EQ(parsed(tokenizer->to_config())->encode("unthe"), tokenizer->encode("unthe"));
}

// Log-probabilities under which "ab" + "c" beats "a" + "bc", and all other ways.
Config unigram(bool byte_fallback) {
  Config::List vocab;
  const auto piece = [&](const std::string& text, double score) {
    vocab.push_back(Config::List{text, score});
  };
  piece("<unk>", 0.0);
  piece("</s>", 0.0);
  piece("\xE2\x96\x81", -2.0);
  piece("a", -3.0);
  piece("b", -3.0);
  piece("c", -3.0);
  piece("ab", -4.0);
  piece("bc", -4.5);
  piece(
      "\xE2\x96\x81"
      "abc",
      -20.0);
  if (byte_fallback) {
    for (int byte = 0; byte < 256; ++byte) piece(fmt::format("<0x{:02X}>", byte), 0.0);
  }
  return Config::Map{{"version", "1.0"},
                     {"truncation", Config()},
                     {"padding", Config()},
                     {"added_tokens", added({"<unk>", "</s>"})},
                     {"normalizer", Config()},
                     {"pre_tokenizer", Config::Map{{"type", "Metaspace"},
                                                   {"replacement", "\xE2\x96\x81"},
                                                   {"prepend_scheme", "always"}}},
                     {"post_processor", Config()},
                     {"decoder", Config::Map{{"type", "Metaspace"},
                                             {"replacement", "\xE2\x96\x81"},
                                             {"prepend_scheme", "always"}}},
                     {"model", Config::Map{{"type", "Unigram"},
                                           {"unk_id", 0},
                                           {"byte_fallback", byte_fallback},
                                           {"vocab", vocab}}}};
}

TEST(Unigram, TakesTheLikeliestPieces) {
  const auto tokenizer = parsed(unigram(false));
  EXPECT_THAT(tokenizer->encode("abc"), ElementsAre(2, 6, 5));
  EXPECT_THAT(tokenizer->encode("abc ab"), ElementsAre(2, 6, 5, 2, 6));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("abc ab")), "abc ab");
  EXPECT_EQ(tokenizer->to_config(), unigram(false));
}

TEST(Unigram, UnknownCharactersAreOneTokenOrTheirBytes) {
  EXPECT_THAT(parsed(unigram(false))->encode("axyb"), ElementsAre(2, 3, 0, 4));
  EXPECT_THAT(parsed(unigram(true))->encode("a\xC3\xA9"), ElementsAre(2, 3, 9 + 0xC3, 9 + 0xA9));
  EXPECT_THAT(parsed(unigram(true))->encode("</s>").front(), 2) << "plain text is no special token";
  Config without = unigram(false);
  without.find("model")->set("unk_id", Config());
  EXPECT_THROW(parsed(without)->encode("x"), RequestError);
}

// Every way to cut short texts, against the search.
TEST(Unigram, EqualsTheBestOfAllWays) {
  UnigramSearch search;
  const std::vector<std::pair<std::string, double>> pieces = {
      {"a", -2.5}, {"b", -3.25}, {"ab", -5.0}, {"ba", -5.5}, {"aba", -8.125}, {"bb", -7.0}};
  for (size_t i = 0; i < pieces.size(); ++i) {
    search.add(pieces[i].first, static_cast<int32_t>(i), pieces[i].second);
  }
  search.set_unknown_score(-18.125);
  const std::function<double(std::string_view)> best = [&](std::string_view text) {
    if (text.empty()) return 0.0;
    double most = -1e9;
    for (const auto& [piece, score] : pieces) {
      if (text.starts_with(piece)) most = std::max(most, score + best(text.substr(piece.size())));
    }
    return most;
  };
  for (int bits = 0; bits < 512; ++bits) {
    std::string text;
    for (int i = 0; i < 9; ++i) text += (bits >> i & 1) != 0 ? 'a' : 'b';
    double sum = 0.0;
    for (const auto& cut : search.best(text, false)) {
      sum += pieces[static_cast<size_t>(cut.id)].second;
    }
    EXPECT_EQ(sum, best(text)) << text;
  }
}

TEST(Pipeline, AppliesAPrecompiledCharsmap) {
  Config document = unigram(false);
  document.set(
      "normalizer",
      Config::Map{{"type", "Sequence"},
                  {"normalizers",
                   Config::List{Config::Map{{"type", "Precompiled"},
                                            {"precompiled_charsmap",
                                             to_base64(charsmap_of({{"x", "ab"}, {"y", ""}}))}},
                                Config::Map{{"type", "Replace"},
                                            {"pattern", Config::Map{{"Regex", " {2,}"}}},
                                            {"content", " "}}}}});
  EXPECT_THAT(parsed(document)->encode("xyc   ab"), ElementsAre(2, 6, 5, 2, 6));
}

struct BadPart {
  const char* key;
  Config part;
  const char* message;
};

TEST(Pipeline, RefusesWhatItDoesNotKnowByName) {
  const Config::Map regex = {{"type", "Split"},
                             {"pattern", Config::Map{{"Regex", "\\d+"}}},
                             {"behavior", "Isolated"},
                             {"invert", false}};
  const BadPart parts[] = {
      {"normalizer", Config::Map{{"type", "ByteLevel"}}, "\"normalizer\" of type ByteLevel"},
      {"normalizer",
       Config::Map{{"type", "Replace"}, {"pattern", Config::Map{{"Regex", "a+"}}}, {"content", ""}},
       "'a+'"},
      {"normalizer", Config::Map{{"type", "Precompiled"}, {"precompiled_charsmap", "???"}},
       "base64"},
      {"normalizer", Config::Map{{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}},
       "charsmap"},
      {"pre_tokenizer", Config::Map{{"type", "UnicodeScripts"}}, "UnicodeScripts"},
      {"pre_tokenizer", regex, "Split"},
      {"decoder", Config::Map{{"type", "CTC"}}, "\"decoder\" of type CTC"},
      {"post_processor", Config::Map{{"type", "Other"}}, "Other"},
      {"model", Config::Map{{"type", "WordLevel"}, {"vocab", Config::map()}}, "WordLevel"},
  };
  for (const BadPart& bad : parts) {
    Config document = bert();
    document.set(bad.key, bad.part);
    try {
      parsed(document);
      ADD_FAILURE() << bad.message << " was accepted";
    } catch (const RequestError& error) {
      EXPECT_THAT(error.what(), HasSubstr(bad.message));
    }
  }
}

}  // namespace
}  // namespace heed::data
