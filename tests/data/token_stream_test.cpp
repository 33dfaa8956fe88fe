#include "data/token_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "data/byte_tokenizer.h"
#include "data/prefetch.h"
#include "data/text_stream_dataset.h"
#include "tests/core/raises.h"
#include "tests/data/archives.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::HasSubstr;

constexpr int64_t kContext = 7, kBatch = 6;

struct Corpus {
  TemporaryFolder folder;
  ByteTokenizer tokenizer;
  TokenStreamOptions stream;
  std::vector<TokenId> ids;  // of one epoch
  std::vector<bool> begins;  // a document

  Corpus() {
    std::string a, b;
    for (int i = 0; i < 40; ++i) {
      const std::string text(static_cast<size_t>(i * 7 % 23 + 1), static_cast<char>('a' + i % 26));
      (i < 25 ? a : b) += "{\"text\": \"" + text + "\"}\n";
      begins.push_back(true);
      for (const char c : text) ids.push_back(c);
      ids.push_back(256);
      begins.resize(ids.size());
    }
    folder.write("a.jsonl", a);
    gzFile packed = gzopen((folder / "b.jsonl.gz").c_str(), "wb");
    gzputs(packed, b.c_str());
    gzclose(packed);
    stream.corpus.files = {folder / "*.jsonl*"};
    stream.shuffle = 10;
  }
  StreamWindows windows(bool documents = false) const {
    return {stream, tokenizer, {kBatch, kContext, 5, documents}};
  }
};

std::vector<int64_t> inputs_of(const Batch& batch) { return batch.inputs.to_vector<int64_t>(); }

TEST(TokenStream, WindowsFollowEachOtherWithoutAGap) {
  const Corpus corpus;
  StreamWindows windows = corpus.windows();
  // The windows of each block, sorted by where they lie in the endless text, give it back.
  const auto size = static_cast<int64_t>(corpus.ids.size());
  const auto endless = [&](int64_t i) {
    return int64_t{corpus.ids[static_cast<size_t>(i % size)]};
  };
  const int64_t blocks = 16;
  ASSERT_GT(blocks * 10 * kContext, 2 * size) << "more than two epochs";
  std::multiset<std::vector<int64_t>> block;
  int64_t row = 0, moved = 0;
  for (int64_t index = 0; index * kBatch < blocks * 10; ++index) {
    const Batch batch = windows(index, {});
    ASSERT_EQ(batch.count, kBatch * kContext);
    const auto x = inputs_of(batch), y = batch.targets.to_vector<int64_t>();
    for (int64_t r = 0; r < kBatch; ++r, ++row) {
      std::vector<int64_t> window(x.begin() + r * kContext, x.begin() + (r + 1) * kContext);
      window.push_back(y[static_cast<size_t>((r + 1) * kContext - 1)]);
      moved += window[0] != endless(row * kContext);
      block.insert(window);
      if (row % 10 != 9) continue;
      for (int64_t w = row / 10 * 10; w <= row; ++w) {
        std::vector<int64_t> want;
        for (int64_t i = w * kContext; i <= (w + 1) * kContext; ++i) want.push_back(endless(i));
        const auto found = block.find(want);
        ASSERT_NE(found, block.end()) << "window " << w;
        block.erase(found);
      }
    }
  }
  EXPECT_GT(moved, row / 2) << "the order is drawn";
  EXPECT_EQ(windows.epoch(0), 0);
  EXPECT_EQ(windows.epoch(row / kBatch - 1), (row / 10 - 1) * 10 * kContext / size);
}

TEST(TokenStream, BatchesAreAFunctionOfTheirIndex) {
  const Corpus corpus;
  StreamWindows forwards = corpus.windows(), anyhow = corpus.windows();
  std::vector<std::vector<int64_t>> want;
  for (int64_t i = 0; i < 40; ++i) want.push_back(inputs_of(forwards(i, {})));
  for (const int64_t i : {39, 0, 17, 18, 3, 38})
    EXPECT_EQ(inputs_of(anyhow(i, {})), want[static_cast<size_t>(i)]) << i;
  for (const int64_t world : {2, 3}) {
    for (const int threads : {1, 3}) {
      std::vector<std::vector<int64_t>> got(40);
      for (int64_t rank = 0; rank < world; ++rank) {
        StreamWindows own = corpus.windows();
        Prefetcher<Batch> ahead(
            [&](int64_t i) {
              return own(i, {rank, world});
            },
            {.threads = threads});
        for (auto& batch : got) {
          const auto rows = inputs_of(ahead.next());
          batch.insert(batch.end(), rows.begin(), rows.end());
        }
      }
      EXPECT_EQ(got, want);
    }
  }
}

TEST(TokenStream, GoesOnFromAPlace) {
  const Corpus corpus;
  for (const char* kind : {"file", "paragraph"}) {
    Corpus other;
    TokenStreamOptions stream = corpus.stream;
    stream.corpus.documents = kind;
    if (std::string(kind) == "paragraph") {
      other.folder.write("p.txt", "one\ntwo\n\nthree\n\nfour and more\n");
      stream.corpus.files = {other.folder / "p.txt"};
    }
    const StreamWindowOptions options{kBatch, kContext, 5, true};
    StreamWindows whole(stream, corpus.tokenizer, options);
    std::vector<std::vector<int64_t>> want, documents;
    std::vector<Config> places;
    for (int64_t i = 0; i < 60; ++i) {
      const Batch batch = whole(i, {});
      want.push_back(inputs_of(batch));
      documents.push_back(batch.documents.to_vector<int64_t>());
      places.push_back(whole.place(i));
      ASSERT_FALSE(places.back().is_null());
    }
    for (const int64_t at : {0, 1, 13, 30, 59}) {
      StreamWindows resumed(stream, corpus.tokenizer, options);
      // As it comes out of a checkpoint.
      resumed.remember(parse_json(places[static_cast<size_t>(at)].to_json(), "state"));
      for (int64_t i = at; i < 60; ++i) {
        const Batch batch = resumed(i, {});
        ASSERT_EQ(inputs_of(batch), want[static_cast<size_t>(i)]) << kind << " " << i;
        ASSERT_EQ(batch.documents.to_vector<int64_t>(), documents[static_cast<size_t>(i)]);
      }
    }
  }
}

/// Bytes as tokens; counts what it was given.
class CountingTokenizer : public ByteTokenizer {
 public:
  mutable int64_t bytes = 0;

 private:
  void encode_piece(const Piece& piece, std::vector<TokenId>& ids) const override {
    bytes += std::ssize(piece.text);
    for (const char c : piece.text) ids.push_back(static_cast<unsigned char>(c));
  }
};

TEST(TokenStream, ReadsNothingTwice) {
  const TemporaryFolder folder;
  std::string text;
  while (text.size() < 100000) text += "a line of a long text\n";
  folder.write("a.txt", text);
  const CountingTokenizer tokenizer;
  TokenStreamOptions stream;
  stream.corpus.files = {folder / "a.txt"};
  stream.shuffle = 4;
  StreamWindows windows(stream, tokenizer, {4, 16, 5, false});
  // Many blocks lie in the one document.
  int64_t index = 0;
  for (; windows.epoch(index) != 3; ++index) windows(index, {});
  ASSERT_GT(index, 3000);
  EXPECT_EQ(tokenizer.bytes, 4 * std::ssize(text));

  const CountingTokenizer fresh;
  StreamWindows resumed(stream, fresh, {4, 16, 5, false});
  resumed.remember(windows.place(index));
  resumed(index, {});
  EXPECT_EQ(fresh.bytes, std::ssize(text)) << "not the epochs before";
}

TEST(TokenStream, WhatIsNoTextIsPassedOver) {
  const TemporaryFolder folder;
  const std::string nul("\0", 1);
  folder.write("a.txt", "first");
  folder.write("b.bin", "no" + nul + "text");
  // Beyond what tells at the beginning.
  folder.write("c.txt", std::string(CorpusReader::kPiece - 1, 'c') + "\nthen" + nul + "\nmore");
  folder.write("d.tar", tar_of({{"x.txt", "in" + nul}, {"y.txt", "tar"}}));
  folder.write("e.txt", "last");
  for (const char* kind : {"file", "line", "paragraph"}) {
    CorpusOptions corpus;
    corpus.files = {folder.path()};
    corpus.documents = kind;
    CorpusReader reader(corpus);
    EXPECT_THAT(reader.skipped(), testing::ElementsAre(folder / "b.bin"));
    CorpusDocument document;
    for (int epoch = 0; epoch < 2; ++epoch) {
      std::vector<std::string> begin;
      reader.seek({});
      while (reader.next(document)) begin.push_back(document.text.substr(0, 5));
      for (std::string& text : begin) text.erase(text.find_last_not_of('\n') + 1);
      const bool one = std::string(kind) == "paragraph";  // its c is one with what is no text
      EXPECT_EQ(begin, one ? (std::vector<std::string>{"first", "tar", "last"})
                           : (std::vector<std::string>{"first", "ccccc", "tar", "last"}))
          << kind;
    }
    EXPECT_THAT(reader.skipped(),
                testing::ElementsAre(
                    folder / "b.bin",
                    fmt::format("{} from byte {} on", folder / "c.txt",
                                std::string(kind) == "paragraph" ? 0 : CorpusReader::kPiece),
                    (folder / "d.tar") + ":x.txt"));
  }
  const auto data = open_text_dataset(
      parse_yaml("{type: text-stream, files: ['" + (folder / "[ab].*") + "']}", "r.yaml"));
  EXPECT_THAT(data->summary, HasSubstr("1 not text (first: '" + (folder / "b.bin") + "')"));
}

TEST(TokenStream, KnowsItsDocuments) {
  const Corpus corpus;
  TokenStreamOptions stream = corpus.stream;
  stream.shuffle = 1;
  StreamWindows windows(stream, corpus.tokenizer, {kBatch, kContext, 5, true});
  const auto size = static_cast<int64_t>(corpus.ids.size());
  for (int64_t index = 0; index < 30; ++index) {
    const Batch batch = windows(index, {});
    const auto d = batch.documents.to_vector<int64_t>(), y = batch.targets.to_vector<int64_t>();
    for (int64_t r = 0; r < kBatch; ++r) {
      int64_t number = 0;
      for (int64_t i = 0; i < kContext; ++i) {
        const int64_t at = (index * kBatch + r) * kContext + i;
        number += i > 0 && corpus.begins[static_cast<size_t>(at % size)];
        ASSERT_EQ(d[static_cast<size_t>(r * kContext + i)], number);
        ASSERT_EQ(y[static_cast<size_t>(r * kContext + i)] == kIgnoreTarget,
                  corpus.begins[static_cast<size_t>((at + 1) % size)]);
      }
    }
  }
}

TEST(TokenStream, PlacesAreOfOneStream) {
  const Corpus corpus;
  StreamWindows windows = corpus.windows();
  windows(0, {});
  const Config place = windows.place(0);
  TokenStreamOptions other = corpus.stream;
  other.shuffle = 11;
  StreamWindows changed(other, corpus.tokenizer, {kBatch, kContext, 5, false});
  EXPECT_THAT(request_error([&] { changed.remember(place); }), HasSubstr("other files"));
  Config damaged = place;
  damaged.set("token", -1);
  EXPECT_THAT(request_error([&] { windows.remember(damaged); }), HasSubstr("damaged"));
}

TEST(TextStream, HoldsOutFiles) {
  const Corpus corpus;
  const Config config = parse_yaml("{type: text-stream, files: [" + corpus.folder.path() +
                                       "/a.jsonl], validation_files: [" + corpus.folder.path() +
                                       "/b.jsonl.gz], max_validation_bytes: 100}",
                                   "r.yaml");
  const auto data = open_text_dataset(config);
  ASSERT_TRUE(data->stream.has_value());
  EXPECT_EQ(data->train.tokens.size(), 0);
  EXPECT_GE(data->validation.bytes, 100);
  EXPECT_LT(data->validation.bytes, 123);
  EXPECT_EQ(data->validation.tokens.document_starts(0, 200).size(),
            static_cast<size_t>(data->validation.documents));
}

TEST(TextStream, OfNothingSaysSo) {
  const TemporaryFolder folder;
  const ByteTokenizer tokenizer;
  folder.write("a.jsonl", "\n{\"text\": \"\"}\n");
  TokenStreamOptions stream;
  stream.corpus.files = {folder / "a.jsonl"};
  StreamWindows windows(stream, tokenizer, {});
  EXPECT_THAT(request_error([&] { windows(0, {}); }), HasSubstr("hold no text"));
}

}  // namespace
}  // namespace heed::data
