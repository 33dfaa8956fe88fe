#include "data/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/files.h"
#include "core/random.h"
#include "data/byte_level.h"
#include "data/pretokenize.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const char* const kVerse =
    "the cat sat on the mat; the cat ate the rat. then that cat sat at the table, and ate.";

std::vector<std::string> spelled(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> tokens;
  for (const TokenId id : tokenizer.encode(text)) tokens.emplace_back(tokenizer.token(id));
  return tokens;
}

// Merges by the definition: counts every pair anew for each merge.
std::vector<std::string> obvious_merges(std::string_view text, size_t merges) {
  std::vector<std::vector<std::string>> words;
  for_each_word(text, [&](std::string_view word) {
    std::vector<std::string> symbols;
    for (const char c : word) symbols.emplace_back(1, c);
    words.push_back(std::move(symbols));
  });
  std::map<std::string, int> ids;
  for (const unsigned char b : byte_alphabet()) {
    ids.emplace(std::string(1, static_cast<char>(b)), static_cast<int>(ids.size()));
  }
  std::vector<std::string> learned;
  while (learned.size() < merges) {
    std::map<std::pair<int, int>, int> counts;
    for (const auto& word : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) ++counts[{ids[word[i]], ids[word[i + 1]]}];
    }
    std::pair<int, int> best;
    int most = 1;
    for (const auto& [pair, count] : counts) {
      if (count > most) {
        best = pair;
        most = count;
      }
    }
    if (most < 2) break;
    std::string merged;
    for (auto& word : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        if (ids[word[i]] != best.first || ids[word[i + 1]] != best.second) continue;
        word[i] += word[i + 1];
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        merged = word[i];
      }
    }
    ids.emplace(merged, static_cast<int>(ids.size()));
    learned.push_back(merged);
  }
  return learned;
}

TEST(BpeTraining, EqualsCountingEveryPairAnew) {
  std::string text = kVerse;
  text += " aaaa aaaaa aaa baaab abababab ababab ";
  const std::vector<std::string> expected = obvious_merges(text, 60);
  const BpeTokenizer bpe = train_bpe({text}, {.vocab_size = 257 + 60});
  ASSERT_EQ(bpe.merges().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(bpe.token(static_cast<TokenId>(256 + i)), expected[i]) << "merge " << i;
  }
}

TEST(BpeTraining, StopsWhenPairsAreRare) {
  const BpeTokenizer bpe = train_bpe({"abab"}, {.vocab_size = 1000});
  EXPECT_EQ(bpe.vocab_size(), 256 + 1 + 1) << "only 'ab' occurs twice";
  EXPECT_EQ(bpe.end_of_text(), 257);
}

TEST(BpeTraining, DoesNotDependOnTheOrderOfTexts) {
  const std::string other = "on and on they sat";
  const BpeTokenizer a = train_bpe({kVerse, other}, {.vocab_size = 300});
  const BpeTokenizer b = train_bpe({other, kVerse}, {.vocab_size = 300});
  EXPECT_EQ(a.merges(), b.merges());
}

TEST(BpeTraining, RefusesTooSmallAVocabulary) {
  EXPECT_THROW(train_bpe({"text"}, {.vocab_size = 256}), RequestError);
}

TEST(BpeEncoding, LowestRankFirst) {
  // "bc" was learned before "ab": in "abc" it wins, although it stands to the right.
  const BpeTokenizer bpe = train_bpe({"bc bc bc bc ab ab ab"}, {.vocab_size = 400});
  EXPECT_THAT(spelled(bpe, "abc"), ElementsAre("a", "bc"));
}

TEST(BpeEncoding, LongWordsMergeLikeShortOnes) {
  const BpeTokenizer bpe = train_bpe({kVerse, "aaaa abab ababab aaab"}, {.vocab_size = 320});
  const RandomStream stream({5, hash_name("long"), 0});
  std::string word;
  for (uint64_t i = 0; i < 3000; ++i) word.push_back("abthe"[stream.below(i, 5)]);
  // The definition, applied to the whole word: the lowest rank, leftmost, again and again.
  std::vector<TokenId> symbols;
  for (const char c : word) symbols.push_back(bpe.encode(std::string_view(&c, 1))[0]);
  std::map<BpeTokenizer::Pair, size_t> ranks;
  for (size_t r = 0; r < bpe.merges().size(); ++r) ranks[bpe.merges()[r]] = r;
  for (;;) {
    size_t best = ranks.size(), at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = ranks.find({symbols[i], symbols[i + 1]});
      if (found != ranks.end() && found->second < best) {
        best = found->second;
        at = i;
      }
    }
    if (best == ranks.size()) break;
    symbols[at] = static_cast<TokenId>(256 + best);
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  EXPECT_EQ(bpe.encode(word), symbols);
}

TEST(BpeEncoding, ArbitraryBytesComeBack) {
  const BpeTokenizer bpe = train_bpe({kVerse}, {.vocab_size = 300});
  const RandomStream stream({6, hash_name("bytes"), 0});
  for (const size_t size : {0u, 1u, 7u, 1000u}) {
    std::string text;
    for (size_t i = 0; i < size; ++i) text.push_back(static_cast<char>(stream.word(i)));
    EXPECT_EQ(bpe.decode(bpe.encode(text)), text);
    EXPECT_EQ(bpe.text_bytes(bpe.encode(text)), static_cast<int64_t>(size));
  }
}

TEST(BpeEncoding, SpecialTokensOnlyWhenAskedFor) {
  const BpeTokenizer bpe = train_bpe({kVerse}, {.vocab_size = 300});
  const std::string text = std::string("a") + kEndOfText + "b";
  const TokenId end = *bpe.end_of_text();
  EXPECT_THAT(bpe.encode(text), testing::Not(testing::Contains(end)));
  EXPECT_THAT(bpe.encode_with_specials(text),
              ElementsAre(bpe.encode("a")[0], end, bpe.encode("b")[0]));
  EXPECT_EQ(bpe.decode(bpe.encode_with_specials(text)), text);
  EXPECT_EQ(bpe.text_bytes(bpe.encode_with_specials(text)), 2);
}

TEST(BpeFile, ComesBackEqual) {
  const TemporaryFolder folder;
  const BpeTokenizer bpe = train_bpe({kVerse}, {.vocab_size = 300});
  bpe.save(folder / "tokenizer.json");
  const auto loaded = load_tokenizer(folder / "tokenizer.json");
  EXPECT_EQ(loaded->to_config(), bpe.to_config());
  EXPECT_EQ(loaded->encode(kVerse), bpe.encode(kVerse));
  EXPECT_EQ(load_tokenizer(folder.path())->vocab_size(), bpe.vocab_size());
}

TEST(BpeFile, TakesMergesAsListsToo) {
  const BpeTokenizer bpe = train_bpe({kVerse}, {.vocab_size = 300});
  Config document = bpe.to_config();
  Config lists = Config::list();
  for (const auto& [left, right] : bpe.merges()) {
    lists.append(Config::List{to_byte_level(bpe.token(left)), to_byte_level(bpe.token(right))});
  }
  document.find("model")->set("merges", lists);
  EXPECT_EQ(parse_tokenizer(document, "x")->encode(kVerse), bpe.encode(kVerse));
}

TEST(BpeFile, KeepsItsStyle) {
  const BpeTokenizer plain = train_bpe({kVerse}, {.vocab_size = 300});
  std::vector<std::string> tokens;
  for (TokenId id = 0; id < plain.vocab_size(); ++id) tokens.emplace_back(plain.token(id));
  for (const WordSplit& words : {WordSplit{WordPattern::llama3}, WordSplit{WordPattern::qwen2},
                                 WordSplit{WordPattern::gpt2, true}}) {
    const BpeTokenizer bpe(
        tokens, plain.merges(), plain.specials(),
        {words, /*ignore_merges=*/true, /*composed=*/true, Frame({*plain.end_of_text()})});
    const auto read = parse_tokenizer(bpe.to_config(), "x");
    EXPECT_EQ(read->to_config(), bpe.to_config());
    const std::string text = "Don't 2026.  \n\n e\xCC\x81";
    EXPECT_EQ(read->encode(text), bpe.encode(text));
    EXPECT_EQ(read->decode(read->encode(text)), "Don't 2026.  \n\n \xC3\xA9");
    EXPECT_THAT(read->start(), ElementsAre(*plain.end_of_text()));
  }
}

TEST(BpeFile, AWholeWordNeedsNoMerges) {
  const BpeTokenizer plain = train_bpe({kVerse}, {.vocab_size = 300});
  std::vector<std::string> tokens;
  for (TokenId id = 0; id < plain.vocab_size(); ++id) tokens.emplace_back(plain.token(id));
  tokens.emplace_back("zqx");  // of no merge
  const auto id = static_cast<TokenId>(tokens.size() - 1);
  EXPECT_THAT(BpeTokenizer(tokens, plain.merges(), plain.specials(), {{}, true}).encode("zqx"),
              ElementsAre(id));
  EXPECT_EQ(BpeTokenizer(tokens, plain.merges(), plain.specials()).encode("zqx").size(), 3u);
}

// A vocabulary in SentencePiece's writing: special tokens, bytes, some characters, merges of two.
// Spaces are marked by normalizers (Llama 2), or by Metaspace.
Config sentence_bpe(bool normalizers) {
  const std::string space = "\xE2\x96\x81";
  Config::List added;
  Config vocab = Config::map();
  int64_t id = 0;
  for (const char* text : {"<unk>", "<s>", "</s>"}) {
    added.push_back(Config::Map{{"id", id}, {"content", text}});
    vocab.set(text, id++);
  }
  for (int byte = 0; byte < 256; ++byte) vocab.set(fmt::format("<0x{:02X}>", byte), id++);
  for (const char* text : {"\xE2\x96\x81", "t", "h", "e", "th", "the", "\xE2\x96\x81the"}) {
    vocab.set(text, id++);
  }
  const auto replace = [](const std::string& what, const std::string& by) {
    return Config::Map{
        {"type", "Replace"}, {"pattern", Config::Map{{"String", what}}}, {"content", by}};
  };
  Config normalizer, pre_tokenizer;
  if (normalizers) {
    normalizer = Config::Map{
        {"type", "Sequence"},
        {"normalizers",
         Config::List{Config::Map{{"type", "Prepend"}, {"prepend", space}}, replace(" ", space)}}};
  } else {
    pre_tokenizer = Config::Map{{"type", "Metaspace"},
                                {"replacement", space},
                                {"prepend_scheme", "first"},
                                {"split", false}};
  }
  return Config::Map{
      {"version", "1.0"},
      {"truncation", Config()},
      {"padding", Config()},
      {"added_tokens", added},
      {"normalizer", normalizer},
      {"pre_tokenizer", pre_tokenizer},
      {"post_processor",
       Config::Map{
           {"type", "TemplateProcessing"},
           {"single", Config::List{Config::Map{{"SpecialToken", Config::Map{{"id", "<s>"}}}},
                                   Config::Map{{"Sequence", Config::Map{{"id", "A"}}}}}},
           {"special_tokens",
            Config::Map{{"<s>", Config::Map{{"ids", Config::List{Config(1)}}}}}}}},
      {"decoder",
       Config::Map{
           {"type", "Sequence"},
           {"decoders",
            Config::List{
                replace(space, " "),
                Config::Map{{"type", "ByteFallback"}}, Config::Map{{"type", "Fuse"}},
                Config::Map{{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
      {"model", Config::Map{{"type", "BPE"},
                            {"fuse_unk", true},
                            {"byte_fallback", true},
                            {"unk_token", "<unk>"},
                            {"vocab", vocab},
                            {"merges", Config::List{Config::List{"t", "h"}, Config::List{"th", "e"},
                                                    Config::List{space, "the"}}}}}};
}

TEST(CharBpe, MergesOverAWholeTextAndFallsBackToBytes) {
  const auto bpe = parse_tokenizer(sentence_bpe(true), "x");
  EXPECT_STREQ(bpe->type(), "char_bpe");
  EXPECT_THAT(bpe->encode("the the"), ElementsAre(265, 265));
  EXPECT_THAT(bpe->encode("e\xC3\xA9"), ElementsAre(259, 262, 3 + 0xC3, 3 + 0xA9));
  EXPECT_EQ(bpe->decode(bpe->encode("the \n\xC3\xA9  th")), "the \n\xC3\xA9  th");
  EXPECT_EQ(bpe->token(265), " the");
  EXPECT_EQ(bpe->token(3 + 0xC3), "\xC3");
  EXPECT_EQ(bpe->end_of_text(), 2);
  EXPECT_THAT(bpe->start(), ElementsAre(1));
}

TEST(CharBpe, ASpaceInFrontMayStandForTheOneThatIsAdded) {
  EXPECT_THAT(parse_tokenizer(sentence_bpe(true), "x")->encode(" the"), ElementsAre(259, 265));
  EXPECT_THAT(parse_tokenizer(sentence_bpe(false), "x")->encode(" the"), ElementsAre(265));
}

TEST(CharBpe, MetaspaceFirstPrefixesWhatBeginsTheText) {
  const auto bpe = parse_tokenizer(sentence_bpe(false), "x");
  EXPECT_THAT(bpe->encode_with_specials("the</s>the"), ElementsAre(265, 2, 264));
  EXPECT_THAT(bpe->encode("</s>").size(), testing::Gt(1u)) << "plain text is no special token";
}

TEST(CharBpe, TheFileIsReadAsItWasWritten) {
  for (const bool normalizers : {true, false}) {
    const Config document = sentence_bpe(normalizers);
    const auto bpe = parse_tokenizer(document, "x");
    EXPECT_EQ(bpe->to_config(), document);
    EXPECT_EQ(parse_tokenizer(bpe->to_config(), "x")->encode(" the et"), bpe->encode(" the et"));
  }
}

TEST(CharBpe, WhatIsWrongHasItsPlace) {
  Config document = sentence_bpe(true);
  document.find("model")->find("merges")->append("t e");
  const Config read = parse_json(document.to_json(1), "tokenizer.json");
  try {
    parse_tokenizer(read, "x");
    ADD_FAILURE() << "was accepted";
  } catch (const RequestError& error) {
    EXPECT_THAT(error.what(), testing::StartsWith("tokenizer.json:"));
    EXPECT_THAT(error.what(), HasSubstr("makes 'te'"));
  }
}

struct BadEdit {
  const char* name;
  void (*edit)(Config& document);
  const char* message;
};

TEST(BpeFile, RefusesWhatItWouldGetWrong) {
  const BpeTokenizer bpe = train_bpe({kVerse}, {.vocab_size = 300});
  const BadEdit edits[] = {
      {"word piece", [](Config& d) { d.find("model")->set("type", "WordPiece"); }, "string"},
      {"dropout", [](Config& d) { d.find("model")->set("dropout", 0.1); }, "dropout"},
      {"normalizer",
       [](Config& d) {
         d.set("normalizer", Config::Map{{"type", "Lowercase"}});
       },
       "normalizer"},
      {"prefix", [](Config& d) { d.find("pre_tokenizer")->set("add_prefix_space", true); },
       "add_prefix_space"},
      {"split", [](Config& d) { d.find("pre_tokenizer")->set("type", "Whitespace"); },
       "Whitespace"},
      {"no split", [](Config& d) { d.set("pre_tokenizer", Config()); }, "pre_tokenizer"},
      {"hole", [](Config& d) { d.find("model")->find("vocab")->set("zz", 5000); }, "5000"},
      {"huge", [](Config& d) { d.find("model")->find("vocab")->set("zz", int64_t{1} << 40); },
       "outside"},
      {"same id", [](Config& d) { d.find("model")->find("vocab")->set("zz", 3); }, "3"},
      {"lost byte", [](Config& d) { d.find("model")->find("vocab")->erase("a"); }, ""},
      {"bad merge", [](Config& d) { d.find("model")->find("merges")->append("q zz"); }, "zz"},
      {"no token", [](Config& d) { d.find("model")->find("merges")->append("q z"); }, "qz"},
      {"three parts", [](Config& d) { d.find("model")->find("merges")->append("q z z"); }, "q z z"},
      {"no vocab", [](Config& d) { d.find("model")->erase("vocab"); }, "vocab"},
  };
  for (const BadEdit& bad : edits) {
    Config document = bpe.to_config();
    bad.edit(document);
    try {
      parse_tokenizer(document, "tokenizer.json");
      ADD_FAILURE() << bad.name << " was accepted";
    } catch (const RequestError& error) {
      EXPECT_THAT(error.what(), HasSubstr(bad.message)) << bad.name;
    }
  }
}

// Ids of these texts by tiktoken 0.x and `tokenizers`, which agree (tests/interop compares more).
TEST(Gpt2Vocabulary, KnownIds) {
  HEED_REAL_DATA(folder, "tokenizers/gpt2");
  const auto gpt2 = load_tokenizer(folder);
  EXPECT_EQ(gpt2->vocab_size(), 50257);
  EXPECT_EQ(gpt2->end_of_text(), 50256);
  EXPECT_THAT(gpt2->encode("Hello world"), ElementsAre(15496, 995));
  EXPECT_THAT(gpt2->encode_with_specials("<|endoftext|>Hello"), ElementsAre(50256, 15496));
}

TEST(Gpt2Vocabulary, RoundTripsRealText) {
  HEED_REAL_DATA(folder, "tokenizers/gpt2");
  HEED_REAL_DATA(path, "text/wikitext2-valid.txt");
  const auto gpt2 = load_tokenizer(folder);
  const std::string text = read_file(path);
  const std::vector<TokenId> ids = gpt2->encode(text);
  EXPECT_EQ(gpt2->decode(ids), text);
  EXPECT_LT(ids.size(), text.size() / 3) << "GPT-2 needs about four bytes a token for English";
}

}  // namespace
}  // namespace heed::data
