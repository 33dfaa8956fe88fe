#include "data/token_shards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "core/files.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/token_folder.h"
#include "data/token_shard.h"
#include "data/tokenize_corpus.h"
#include "data/unicode.h"
#include "tests/core/raises.h"
#include "tests/data/archives.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr TokenId kEnd = 256;  // of the byte tokenizer

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

// A shard of two documents, as write_shard makes it.
std::string shard_text(const TemporaryFolder& folder) {
  const ByteTokenizer tokenizer;
  const std::string path = folder / "one.tokens";
  write_shard(path, {{'h', 'i', kEnd, 'y', kEnd}, {0, 3}, 3, false}, tokenizer,
              tokenizer_digest(tokenizer));
  return read_file(path);
}

std::string parse_error(const std::string& text) {
  const std::vector<std::byte> bytes = bytes_of(text);
  return request_error([&] { read_shard(bytes, "x.tokens"); });
}

TokenizeOptions options_for(const std::vector<std::string>& files, int64_t shard_bytes = 1 << 20,
                            int workers = 1) {
  TokenizeOptions options;
  options.corpus.files = files;
  options.shard_bytes = shard_bytes;
  options.workers = workers;
  return options;
}

std::vector<TokenId> all_ids(const TokenFolder& folder) {
  return folder.tokens.slice(0, folder.tokens.size());
}

std::vector<TokenId> ids_of(const std::vector<std::string>& documents) {
  std::vector<TokenId> ids;
  for (const std::string& document : documents) {
    for (const char c : document) ids.push_back(static_cast<unsigned char>(c));
    ids.push_back(kEnd);
  }
  return ids;
}

TEST(TokenShard, LiesAsDocumented) {
  const TemporaryFolder folder;
  const std::string text = shard_text(folder);
  const auto number = [&](size_t at, int count) {
    uint64_t value = 0;
    for (int i = count; i-- > 0;)
      value = value << 8 | static_cast<unsigned char>(text[at + static_cast<size_t>(i)]);
    return value;
  };
  ASSERT_EQ(text.size(), 128u + 2 * 8 + 5 * 2);
  EXPECT_EQ(text.substr(0, 8), std::string("HEEDTOK\0", 8));
  EXPECT_EQ(number(8, 4), 1u);
  EXPECT_EQ(number(12, 4), 2u);
  EXPECT_EQ(number(16, 8), 5u);
  EXPECT_EQ(number(24, 8), 2u);
  EXPECT_EQ(number(32, 8), 3u);
  EXPECT_EQ(number(40, 8), 257u);
  EXPECT_EQ(number(48, 8), 0u);
  EXPECT_EQ(number(128, 8), 0u);
  EXPECT_EQ(number(136, 8), 3u);
  EXPECT_EQ(number(144, 2), uint64_t{'h'});
  EXPECT_EQ(number(148, 2), uint64_t{kEnd});
  EXPECT_EQ(number(152, 2), uint64_t{kEnd});
}

TEST(TokenShard, ComesBackWide) {
  const TemporaryFolder folder;
  std::vector<std::string> texts;
  // More than 65,536 characters want ids of 4 bytes.
  std::string all;
  for (int32_t c = 0x4E00; c < 0x4E00 + 66000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    append_code_point(all, c);
  }
  const CharTokenizer tokenizer = CharTokenizer::from_texts({all});
  ASSERT_GT(tokenizer.vocab_size(), 60000);
  const std::vector<TokenId> ids = {0, 60001, 7};
  const std::string path = folder / "wide.tokens";
  const ShardHeader header =
      write_shard(path, {ids, {0}, 9, false}, tokenizer, tokenizer_digest(tokenizer));
  EXPECT_EQ(header.width, tokenizer.vocab_size() > 65536 ? 4 : 2);
  const std::string text = read_file(path);
  const std::vector<std::byte> bytes = bytes_of(text);
  Tokens tokens(tokenizer.vocab_size());
  tokens.append_piece(read_shard(bytes, path));
  EXPECT_EQ(tokens.slice(0, 3), ids);
  EXPECT_TRUE(shard_is_whole(bytes, read_shard_header(bytes, path)));
}

TEST(TokenShard, CutAnywhereIsRefused) {
  const TemporaryFolder folder;
  const std::string text = shard_text(folder);
  EXPECT_EQ(parse_error(text), "no error");
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_THAT(parse_error(text.substr(0, size)), HasSubstr("x.tokens: byte")) << size;
  }
  EXPECT_THAT(parse_error(text + "x"), HasSubstr("do not fill a file"));
}

TEST(TokenShard, NoNumberIsTrusted) {
  const TemporaryFolder folder;
  const std::string text = shard_text(folder);
  const auto with = [&](size_t at, uint64_t value, int count) {
    std::string changed = text;
    changed.replace(at, static_cast<size_t>(count), little_endian(value, count));
    return parse_error(changed);
  };
  EXPECT_THAT(with(0, 'X', 1), HasSubstr("not a token shard"));
  EXPECT_THAT(with(8, 2, 4), HasSubstr("version 2"));
  EXPECT_THAT(with(12, 3, 4), HasSubstr("ids of 3 bytes"));
  EXPECT_THAT(with(12, 4, 4), HasSubstr("do not fill"));
  EXPECT_THAT(with(16, 6, 8), HasSubstr("do not fill"));
  EXPECT_THAT(with(16, uint64_t{1} << 63, 8), HasSubstr("do not fill"));
  // 8 times this is 16 modulo 2^64, as two documents are.
  EXPECT_THAT(with(24, (uint64_t{1} << 61) + 2, 8), HasSubstr("documents in a file"));
  EXPECT_THAT(with(24, 3, 8), HasSubstr("do not fill"));
  EXPECT_THAT(with(32, ~uint64_t{0}, 8), HasSubstr("bytes of text"));
  EXPECT_THAT(with(40, 0, 8), HasSubstr("vocabulary of 0"));
  EXPECT_THAT(with(40, 65537, 8), HasSubstr("vocabulary of 65537"));
  EXPECT_THAT(with(40, (uint64_t{1} << 31) + 1, 8), HasSubstr("byte 40: vocabulary: "));
  EXPECT_THAT(with(52, 1, 4), HasSubstr("byte 52: zeros"));
  EXPECT_THAT(with(120, 1, 8), HasSubstr("byte 120: zeros"));
  EXPECT_THAT(with(48, 2, 4), HasSubstr("flags"));
  EXPECT_THAT(with(48, 1, 4), HasSubstr("goes on with a document, and begins one"));
  EXPECT_THAT(with(128, 1, 8), HasSubstr("first token begins no document"));
  EXPECT_THAT(with(136, 0, 8), HasSubstr("not behind the one before"));
  EXPECT_THAT(with(136, 5, 8), HasSubstr("document 1 begins at token 5 of 5"));
  // Ids are looked at when they are read.
  std::string changed = text;
  changed.replace(144, 2, little_endian(257, 2));
  const std::vector<std::byte> bytes = bytes_of(changed);
  Tokens tokens(257);
  tokens.append_piece(read_shard(bytes, "x.tokens"));
  EXPECT_THAT(request_error([&] { tokens.slice(0, 1); }),
              HasSubstr("x.tokens: token 0: the id 257 is outside the vocabulary of 257"));
  EXPECT_EQ(tokens.slice(1, 2), (std::vector<TokenId>{'i', kEnd}));
  EXPECT_FALSE(shard_is_whole(bytes, read_shard_header(bytes, "x")));
}

TEST(Tokens, PiecesAreOneSequenceWithItsDocuments) {
  const std::vector<uint16_t> a = {1, 2, 3}, c = {5, 6, 7, 8};
  const std::vector<uint32_t> b = {4};
  const std::vector<uint64_t> a_starts = {0, 2}, c_starts = {1};
  const auto piece = [](const auto& ids, const std::vector<uint64_t>& starts) {
    TokenPiece made;
    made.ids = reinterpret_cast<const std::byte*>(ids.data());
    made.width = sizeof(ids[0]);
    made.count = std::ssize(ids);
    made.starts = starts;
    return made;
  };
  Tokens tokens(9);
  tokens.append_piece(piece(a, a_starts));
  tokens.append_piece(piece(b, {}));
  tokens.append_piece(piece(c, c_starts));
  EXPECT_EQ(tokens.size(), 8);
  EXPECT_EQ(tokens.documents(), 3);
  EXPECT_EQ(tokens.slice(1, 6), (std::vector<TokenId>{2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(tokens[3], 4);
  EXPECT_EQ(tokens.document_starts(0, 8), (std::vector<int64_t>{0, 2, 5}));
  EXPECT_EQ(tokens.document_starts(1, 5), (std::vector<int64_t>{2}));
  EXPECT_EQ(tokens.document_starts(5, 6), (std::vector<int64_t>{5}));
  Tokens part(9);
  part.append_part(tokens, 2, 7);
  EXPECT_EQ(part.slice(0, 5), (std::vector<TokenId>{3, 4, 5, 6, 7}));
  EXPECT_EQ(part.document_starts(0, 5), (std::vector<int64_t>{0, 3}));
  Tokens inner(9);
  inner.append_part(part, 2, 5);
  EXPECT_EQ(inner.slice(0, 3), (std::vector<TokenId>{5, 6, 7}));
  EXPECT_EQ(inner.document_starts(0, 3), (std::vector<int64_t>{1}));
  EXPECT_THROW(part.slice(3, 3), Error);
}

TEST(TokenizeCorpus, ReadsEveryKindOfFile) {
  const TemporaryFolder folder;
  folder.write("in/a.txt", "one\n\ntwo\n");
  folder.write(
      "in/b.jsonl",
      "{\"text\": \"three\"}\n\n{\"id\": 1, \"text\": \"\"}\r\n{\"text\": \"fo\\u00fcr\"}");
  folder.write("in/c.tar", tar_of({{"x.txt", "five"}, {"x.json", "{}"}, {"y.txt", "six"}}));
  folder.write("in/d.bin", std::string("no\0text", 7));
  folder.write("in/e.txt", "");
  gzFile packed = gzopen((folder / "in/f.jsonl.gz").c_str(), "wb");
  gzputs(packed, "{\"text\": \"seven\"}\n");
  gzclose(packed);
  const Tokenized made =
      tokenize_corpus(options_for({folder / "in"}), ByteTokenizer(), folder / "out");
  const TokenFolder shards = open_token_folder(folder / "out");
  EXPECT_EQ(all_ids(shards),
            ids_of({"one\n\ntwo\n", "three", "fo\xC3\xBCr", "five", "six", "seven"}));
  EXPECT_EQ(shards.tokens.documents(), 6);
  EXPECT_EQ(made.documents, 6);
  EXPECT_EQ(made.text_bytes, 9 + 5 + 5 + 4 + 3 + 5);
  EXPECT_THAT(made.skipped, testing::ElementsAre(testing::EndsWith("d.bin")));
  EXPECT_EQ(load_tokenizer(folder / "out/tokenizer.json")->vocab_size(), 257);
}

TEST(TokenizeCorpus, DocumentsMayBeParagraphsOrLines) {
  const TemporaryFolder folder;
  folder.write("in.txt", "\n a\nb\n\n \t\n\nc\r\nd");
  TokenizeOptions options = options_for({folder / "in.txt"});
  options.corpus.documents = "paragraph";
  tokenize_corpus(options, ByteTokenizer(), folder / "paragraphs");
  EXPECT_EQ(all_ids(open_token_folder(folder / "paragraphs")), ids_of({" a\nb\n", "c\nd\n"}));
  options.corpus.documents = "line";
  tokenize_corpus(options, ByteTokenizer(), folder / "lines");
  EXPECT_EQ(all_ids(open_token_folder(folder / "lines")), ids_of({" a\n", "b\n", "c\n", "d\n"}));
}

// Many documents in many shards: the same bytes whoever makes them.
TEST(TokenizeCorpus, DoesNotDependOnTheWorkers) {
  const TemporaryFolder folder;
  std::string lines;
  std::vector<std::string> documents;
  for (int i = 0; i < 300; ++i) {
    documents.push_back(
        std::string(static_cast<size_t>(i % 17 + 1), static_cast<char>('a' + i % 26)));
    lines += "{\"text\": \"" + documents.back() + "\"}\n";
  }
  folder.write("in.jsonl", lines);
  const Tokenized one =
      tokenize_corpus(options_for({folder / "in.jsonl"}, 100, 1), ByteTokenizer(), folder / "one");
  const Tokenized four =
      tokenize_corpus(options_for({folder / "in.jsonl"}, 100, 4), ByteTokenizer(), folder / "four");
  ASSERT_GT(one.shards.size(), 10u);
  ASSERT_EQ(one.shards.size(), four.shards.size());
  for (const ShardEntry& shard : one.shards) {
    EXPECT_EQ(read_file(folder / ("one/" + shard.file)),
              read_file(folder / ("four/" + shard.file)));
  }
  EXPECT_EQ(all_ids(open_token_folder(folder / "four")), ids_of(documents));
  EXPECT_EQ(open_token_folder(folder / "four").tokens.document_starts(0, one.tokens).size(), 300u);
}

// A text beyond the reader's pieces is one document in several shards.
TEST(TokenizeCorpus, LongTextsGoOnFromShardToShard) {
  const TemporaryFolder folder;
  std::string text;
  while (static_cast<int64_t>(text.size()) < CorpusReader::kPiece + 1000)
    text += "a line of a long text\n";
  folder.write("a.txt", text);
  folder.write("b.txt", "short");
  tokenize_corpus(options_for({folder / "a.txt", folder / "b.txt"}, 1), ByteTokenizer(),
                  folder / "out");
  const TokenFolder shards = open_token_folder(folder / "out");
  EXPECT_EQ(shards.shards.size(), 3u);
  EXPECT_EQ(shards.tokens.document_starts(0, shards.tokens.size()),
            (std::vector<int64_t>{0, std::ssize(text) + 1}));
  EXPECT_EQ(all_ids(shards), ids_of({text, "short"}));
}

TEST(TokenizeCorpus, GoesOnWhereItWasKilled) {
  const TemporaryFolder folder;
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "{\"text\": \"document " + std::to_string(i) + "\"}\n";
  folder.write("in.jsonl", lines);
  const TokenizeOptions options = options_for({folder / "in.jsonl"}, 100, 2);
  const Tokenized whole = tokenize_corpus(options, ByteTokenizer(), folder / "whole");
  tokenize_corpus(options, ByteTokenizer(), folder / "cut");
  // As if it had been killed: no index, a shard missing, one damaged, one half written.
  remove_tree(folder / "cut/index.json");
  remove_tree(folder / "cut/shard-000003.tokens");
  std::string damaged = read_file(folder / "cut/shard-000001.tokens");
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  folder.write("cut/shard-000001.tokens", damaged);
  folder.write("cut/shard-000003.tokens.tmp-17-0", "half");
  EXPECT_THAT(request_error([&] { open_token_folder(folder / "cut"); }),
              HasSubstr("are not complete"));
  const Tokenized again = tokenize_corpus(options, ByteTokenizer(), folder / "cut");
  EXPECT_EQ(again.kept, static_cast<int64_t>(whole.shards.size()) - 2);
  EXPECT_EQ(read_file(folder / "cut/index.json"), read_file(folder / "whole/index.json"));
  EXPECT_FALSE(std::filesystem::exists(folder / "cut/shard-000003.tokens.tmp-17-0"));
  EXPECT_TRUE(damaged_shards(open_token_folder(folder / "cut")).empty());
}

TEST(TokenizeCorpus, KeepsRequestsApart) {
  const TemporaryFolder folder;
  folder.write("in.txt", "text");
  tokenize_corpus(options_for({folder / "in.txt"}), ByteTokenizer(), folder / "out");
  const CharTokenizer chars = CharTokenizer::from_texts({"text"});
  EXPECT_THAT(request_error([&] {
                tokenize_corpus(options_for({folder / "in.txt"}), chars, folder / "out");
              }),
              AllOf(HasSubstr("another request"), HasSubstr("different: tokenizer")));
  TokenizeOptions options = options_for({folder / "in.txt"});
  options.overwrite = true;
  tokenize_corpus(options, chars, folder / "out");
  EXPECT_EQ(open_token_folder(folder / "out").tokens.size(), 4) << "no end of text among chars";
  folder.write("model/tokenizer.json", "{}");
  EXPECT_THAT(request_error([&] { tokenize_corpus(options, chars, folder / "model"); }),
              HasSubstr("holds 'tokenizer.json'"));
  folder.write("other/shard-000000.tokens", "?");
  EXPECT_THAT(request_error([&] { tokenize_corpus(options, chars, folder / "other"); }),
              HasSubstr("holds 'shard-000000.tokens'"));
}

TEST(TokenizeCorpus, ErrorsHaveTheirPlace) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& name, const std::string& text) {
    folder.write(name, text);
    return request_error([&] {
      TokenizeOptions options = options_for({folder / name});
      options.overwrite = true;
      tokenize_corpus(options, ByteTokenizer(), folder / "out");
    });
  };
  EXPECT_THAT(error("a.jsonl", "{\"text\": \"a\"}\n{\"text\" \"b\"}\n"),
              AllOf(HasSubstr("a.jsonl:2:11: "), HasSubstr("expected ':'")));
  EXPECT_THAT(error("b.jsonl", "{\"text\": \"a\"}\n\n{\"text\": 1}\n"),
              HasSubstr("b.jsonl:3:10: "));
  EXPECT_THAT(error("c.jsonl", "{\"txt\": \"a\"}\n"),
              AllOf(HasSubstr("c.jsonl:1:1: "), HasSubstr("did you mean 'txt'")));
  EXPECT_THAT(error("d.jsonl", "[\"a\"]"), HasSubstr("d.jsonl:1:1: a line must be an object"));
  EXPECT_THAT(error("e.jsonl.gz", "{}"), HasSubstr("not a gzip file"));
  EXPECT_THAT(error("f.tar.gz", "x"), HasSubstr("unpack it"));
  EXPECT_THAT(error("g.txt", ""), HasSubstr("there is no text"));
  EXPECT_THAT(error("h.tar", "x"), HasSubstr("h.tar: byte 0"));
  // A gzip file that ends early.
  gzFile packed = gzopen((folder / "i.jsonl.gz").c_str(), "wb");
  for (int i = 0; i < 2000; ++i) gzprintf(packed, "{\"text\": \"%d\"}\n", i * i % 9973);
  gzclose(packed);
  const std::string whole = read_file(folder / "i.jsonl.gz");
  EXPECT_THAT(error("i.jsonl.gz", whole.substr(0, whole.size() / 2)), HasSubstr("i.jsonl.gz"));
}

TEST(TokenFolder, HoldsItsIndexAgainstTheShards) {
  const TemporaryFolder folder;
  folder.write("in.txt", "text");
  tokenize_corpus(options_for({folder / "in.txt"}), ByteTokenizer(), folder / "out");
  const std::string index = read_file(folder / "out/index.json");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = index;
    const size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    folder.write("out/index.json", changed.replace(at, from.size(), to));
    return request_error([&] { open_token_folder(folder / "out"); });
  };
  EXPECT_THAT(with("heed-token-shards", "other"), HasSubstr("not an index of token shards"));
  EXPECT_THAT(with("\"version\": 1", "\"version\": 9"), HasSubstr("version 9"));
  EXPECT_THAT(with("shard-000000.tokens", "../in.txt"), HasSubstr("no name of a file"));
  EXPECT_THAT(with("shard-000000.tokens", "shard-000009.tokens"), HasSubstr("shard-000009.tokens"));
  EXPECT_THAT(with("\"vocab_size\": 257", "\"vocab_size\": 300"), HasSubstr("another tokenizer"));
  const size_t list = index.find("\"shards\"");
  EXPECT_THAT(with(index.substr(list),
                   [&] {
                     std::string rest = index.substr(list);
                     const size_t at = rest.find("\"tokens\": 5");
                     return rest.replace(at, 11, "\"tokens\": 6");
                   }()),
              HasSubstr("not the shard that index.json lists"));
  folder.write("out/index.json", index);
  EXPECT_EQ(open_token_folder(folder / "out").tokens.size(), 5);
  EXPECT_THAT(request_error([&] { open_token_folder(folder.path()); }),
              HasSubstr("no folder of token shards"));
}

// Two corpora, "aaaa..." and "bbbb...", each of documents of 9 letters and an end.
TokenShardsOptions two_corpora(const TemporaryFolder& folder) {
  for (const std::string letter : {"a", "b"}) {
    std::string lines;
    for (int i = 0; i < 50; ++i)
      lines += "{\"text\": \"" + letter + letter + letter + letter + "\"}\n";
    folder.write(letter + ".jsonl", lines);
    tokenize_corpus(options_for({folder / (letter + ".jsonl")}, 40), ByteTokenizer(),
                    folder / letter);
  }
  TokenShardsOptions options;
  options.corpora = {{"first", folder / "a", 3}, {"second", folder / "b", 1}};
  options.validation = 0.1;
  return options;
}

TEST(TokenShards, AreMixedByTheirWeights) {
  const TemporaryFolder folder;
  const auto data = open_token_shards(two_corpora(folder));
  EXPECT_EQ(data->train.tokens.size(), 450);
  EXPECT_EQ(data->validation.tokens.size(), 50);
  EXPECT_EQ(data->validation.documents, 10);
  EXPECT_THAT(data->summary, HasSubstr("first 75% of the rows (225 tokens"));
  ASSERT_EQ(data->corpora.size(), 2u);
  for (const std::string sampling : {"random", "epochs"}) {
    WindowOptions options{.batch = 8, .context = 4, .seed = 5, .sampling = sampling};
    options.corpora = data->corpora;
    const WindowBatches batches(data->train.tokens, options);
    std::map<int64_t, int64_t> rows;
    for (int64_t index = 0; index < 1024; ++index) {
      const std::vector<int64_t> ids = batches(index).inputs.to_vector<int64_t>();
      for (size_t row = 0; row < 8; ++row) {
        const bool first = ids[4 * row] == 'a' || ids[4 * row + 1] == 'a';
        for (size_t i = 4 * row; i < 4 * row + 4; ++i) {
          ASSERT_TRUE(ids[i] == (first ? 'a' : 'b') || ids[i] == kEnd) << "no window holds both";
        }
        ++rows[first ? 0 : 1];
      }
    }
    EXPECT_EQ(rows[0], 3 * 2048);
    EXPECT_EQ(batches.rows_by_corpus(1024), (std::vector<int64_t>{3 * 2048, 2048}));
  }
}

TEST(TokenShards, AreRefusedByAnotherTokenizer) {
  const TemporaryFolder folder;
  TokenShardsOptions options = two_corpora(folder);
  folder.write("in.txt", "text");
  tokenize_corpus(options_for({folder / "in.txt"}), CharTokenizer::from_texts({"text"}),
                  folder / "chars");
  options.corpora[1].folder = folder / "chars";
  EXPECT_THAT(request_error([&] { open_token_shards(options); }),
              AllOf(HasSubstr(folder / "chars"), HasSubstr("made with another tokenizer"),
                    HasSubstr("bytes of 257")));
  options.corpora.pop_back();
  options.tokenizer.file = folder / "chars/tokenizer.json";
  EXPECT_THAT(request_error([&] { open_token_shards(options); }),
              AllOf(HasSubstr("'" + (folder / "a") + "'"), HasSubstr("chars/tokenizer.json")));
  options.folder = folder / "a";
  EXPECT_THAT(request_error([&] { open_token_shards(options); }), HasSubstr("either"));
}

TEST(TokenShards, MayBeHeldOutAsAFolder) {
  const TemporaryFolder folder;
  TokenShardsOptions options = two_corpora(folder);
  options.corpora.pop_back();
  options.validation_folder = folder / "b";
  const auto data = open_token_shards(options);
  EXPECT_EQ(data->train.tokens.size(), 250);
  EXPECT_EQ(data->validation.tokens.size(), 250);
  EXPECT_EQ(data->validation.tokens[0], 'b');
}

}  // namespace
}  // namespace heed::data
