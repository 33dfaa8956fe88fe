#include "data/text_classification.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "data/delimited.h"
#include "data/word_tokenizer.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Strings = std::vector<std::string>;

std::string csv_error(const std::string& text) {
  try {
    parse_csv(text, "a.csv");
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

std::string error_of(const std::string& yaml) {
  try {
    open_labelled_dataset(parse_yaml(yaml, "r.yaml"));
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

TextBatch texts(LabelledBatch batch) { return std::get<TextBatch>(std::move(batch)); }

TEST(Csv, FollowsRfc4180) {
  const auto records = parse_csv("a,b\r\n\"x, \"\"y\"\"\n2\",\n\n,last,", "a.csv");
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].fields, (Strings{"a", "b"}));
  EXPECT_EQ(records[1].fields, (Strings{"x, \"y\"\n2", ""}));
  EXPECT_EQ(records[1].line, 2);
  EXPECT_EQ(records[2].fields, (Strings{"", "last", ""}));
  EXPECT_EQ(records[2].line, 5);
  EXPECT_TRUE(parse_csv("", "a.csv").empty());
}

TEST(Csv, RefusesStrayQuotes) {
  EXPECT_THAT(csv_error("a\nb\"c"), HasSubstr("a.csv:2: a quote within a field"));
  EXPECT_THAT(csv_error("a\n\n\"b\nc"), HasSubstr("a.csv:3: a quoted field that never ends"));
  EXPECT_THAT(csv_error("\"a\n\"b"), HasSubstr("a.csv:2: text behind"));
}

TEST(Tsv, KeepsQuotesAndReadsEscapes) {
  const auto records = parse_tsv("a\t\"b\r\n\nx\\ty\tz\\q\n");
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].fields, (Strings{"a", "\"b"}));
  EXPECT_EQ(records[1].fields, (Strings{"x\ty", "z\\q"}));
  EXPECT_EQ(records[1].line, 3);
}

TEST(Words, AreLowerCaseRunsAndSigns) {
  EXPECT_THAT(split_words("Don't STOP: \xc3\x89t\xc3\xa9 '99!"),
              ElementsAre("don't", "stop", ":", "\xc3\xa9t\xc3\xa9", "'", "99", "!"));
  EXPECT_THAT(split_words("a\xff"), ElementsAre("a", "\xff"));
  EXPECT_TRUE(split_words(" \n").empty());
}

TEST(Words, VocabularyIsByCountAndSurvivesTheFile) {
  const auto words = WordTokenizer::from_texts({"b a b c", "a b d"}, 2, 300);
  EXPECT_EQ(words.vocab_size(), 4);
  EXPECT_EQ(words.token(2), " b");
  EXPECT_EQ(words.token(3), " a");
  EXPECT_EQ(words.encode("a z B"), (std::vector<TokenId>{3, WordTokenizer::kUnknown, 2}));
  const auto back = parse_tokenizer(parse_json(words.to_config().to_json(), "t"), "t");
  EXPECT_EQ(back->encode("a z B"), words.encode("a z B"));
  EXPECT_EQ(WordTokenizer::from_texts({"b a b c"}, 1, 3).vocab_size(), 3);
  EXPECT_THROW(WordTokenizer({"a", "a"}), RequestError);
}

TEST(LabelledTexts, BatchesArePaddedOnTheRight) {
  const auto data =
      make_labelled_texts({{{"a b c", 1}, {"a", 0}, {"", 1}, {"c b a c b a", 0}}}, {"no", "yes"},
                          {.tokenizer = {.min_count = 1}, .max_length = 5});
  const TextBatch batch = texts(data->evaluation_batch(Part::train, 0, {.batch = 3}));
  EXPECT_EQ(batch.ids.shape(), (Shape{3, 3}));
  EXPECT_EQ(batch.lengths.to_vector<int64_t>(), (std::vector<int64_t>{3, 1, 1}));
  EXPECT_EQ(batch.labels.to_vector<int64_t>(), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(batch.ids.to_vector<int64_t>()[4], data->padding());
  const TextBatch last = texts(data->evaluation_batch(Part::train, 1, {.batch = 3}));
  EXPECT_EQ(last.count, 1);
  EXPECT_EQ(last.ids.size(1), 5) << "cut at max_length";
  EXPECT_EQ(last.labels.to_vector<int64_t>()[2], kIgnoreTarget);
  EXPECT_EQ(data->example_shape(), (Shape{5}));
}

TEST(TextTable, FormatsAgree) {
  const TemporaryFolder folder;
  const std::string files[] = {
      folder.write("a.csv", "10,\"x, y\"\n9,z\n"), folder.write("a.tsv", "10\tx, y\n9\tz\n"),
      folder.write("a.jsonl", "{\"0\": 10, \"1\": \"x, y\"}\n\n{\"0\": \"9\", \"1\": \"z\"}\n")};
  for (const std::string& file : files) {
    const auto data = open_text_table({.train = {file}, .texts = {.tokenizer = {.type = "bytes"}}});
    EXPECT_EQ(data->class_names(), (Strings{"9", "10"})) << "numbers in their order";
    const TextBatch batch = texts(data->evaluation_batch(Part::train, 0, {.batch = 2}));
    EXPECT_EQ(batch.labels.to_vector<int64_t>(), (std::vector<int64_t>{1, 0}));
    EXPECT_EQ(batch.ids.to_vector<int64_t>(),
              (std::vector<int64_t>{'x', ',', ' ', 'y', 'z', 0, 0, 0}));
  }
}

TEST(TextTable, JsonNumbersAreLabels) {
  const TemporaryFolder folder;
  const std::string file = folder.write(
      "a.jsonl",
      "{\"0\": 10, \"1\": \"a\"}\n{\"0\": 1.50, \"1\": 2.5}\n{\"0\": -3e-2, \"1\": \"c\"}\n");
  const auto data = open_text_table({.train = {file}, .texts = {.tokenizer = {.type = "bytes"}}});
  EXPECT_EQ(data->class_names(), (Strings{"-0.03", "1.5", "10"}));
  const TextBatch batch = texts(data->evaluation_batch(Part::train, 0, {.batch = 3}));
  EXPECT_EQ(batch.labels.to_vector<int64_t>(), (std::vector<int64_t>{2, 1, 0}));
  EXPECT_EQ(batch.lengths.to_vector<int64_t>(), (std::vector<int64_t>{1, 3, 1})) << "2.5";
  EXPECT_THAT(error_of("{type: text-table, train: [" +
                       folder.write("b.jsonl", "{\"0\": true, \"1\": \"a\"}") + "]}"),
              HasSubstr("b.jsonl:1"));
}

TEST(TextTable, HeadersNameColumns) {
  const TemporaryFolder folder;
  const std::string file = folder.write("a.csv", "text,class\none,pos\ntwo,neg\n");
  const std::string start = "{type: text-table, header: true, train: [" + file + "], label: ";
  const auto data = open_labelled_dataset(parse_yaml(start + "class, text: [text]}", "r.yaml"));
  EXPECT_EQ(data->class_names(), (Strings{"neg", "pos"}));
  EXPECT_THAT(error_of(start + "clas, text: [text]}"),
              testing::AllOf(HasSubstr("a.csv:1"), HasSubstr("did you mean 'class'")));
}

TEST(TextTable, ErrorsNameTheLine) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& name, const std::string& text) {
    return error_of("{type: text-table, train: [" + folder.write(name, text) + "]}");
  };
  EXPECT_THAT(error("a.csv", "1,x\n2\n"), HasSubstr("a.csv:2: 1 fields; column 1"));
  EXPECT_THAT(error("a.jsonl", "{\"0\": 1, \"1\": \"x\"}\n{\"0\": 1}"), HasSubstr("a.jsonl:2"));
  EXPECT_THAT(error("a.txt", "1,x"), HasSubstr("say its format"));
  const std::string train = folder.write("t.csv", "1,x\n"), test = folder.write("e.csv", "3,x\n");
  EXPECT_THAT(error_of("{type: text-table, train: [" + train + "], test: [" + test + "]}"),
              HasSubstr("e.csv:1: the training rows have no label '3'"));
  EXPECT_THAT(error_of("{type: text-table, train: [" + train + "], classes: [a, b]}"),
              HasSubstr("2 names for 1 classes"));
}

TEST(LabelledTexts, FractionsAreDisjoint) {
  LabelledTexts all;
  for (int64_t i = 0; i < 100; ++i) all.train.push_back({std::to_string(i), i % 2});
  const auto data = make_labelled_texts(all, {"even", "odd"},
                                        {.tokenizer = {.min_count = 1}, .held_out = {0.2, 0.1}});
  EXPECT_EQ(data->size(Part::train), 70);
  EXPECT_EQ(data->size(Part::validation), 20);
  EXPECT_EQ(data->size(Part::test), 10);
}

TEST(TextTable, RealAgNews) {
  HEED_REAL_DATA(path, "news/ag_news_7600.csv");
  const auto data = open_labelled_dataset(
      parse_yaml("{type: text-table, train: [" + path +
                     "], text: ['1', '2'], classes: [World, Sports, Business, Sci/Tech], "
                     "hold_out_test: 0.2106}",
                 "r.yaml"));
  EXPECT_EQ(data->size(Part::train), 6000);
  EXPECT_EQ(data->size(Part::test), 1600);
  std::vector<int> counts(4);
  for (const Part part : {Part::train, Part::test}) {
    for (int64_t i = 0; i < data->size(part); ++i) {
      ++counts[static_cast<size_t>(data->label(part, i))];
    }
  }
  EXPECT_EQ(counts, std::vector<int>(4, 1900));
}

TEST(Sentences, RealMovieReviews) {
  HEED_REAL_DATA(positive, "reviews/rt-polarity.pos");
  HEED_REAL_DATA(negative, "reviews/rt-polarity.neg");
  const auto data = open_labelled_dataset(
      parse_yaml("{type: sentences, files: [" + negative + ", " + positive +
                     "], classes: [negative, positive], encoding: latin-1, hold_out: 0.1}",
                 "r.yaml"));
  EXPECT_EQ(data->size(Part::train) + data->size(Part::validation), 10662);
  const TextBatch batch = texts(data->train_batch(7, {.batch = 32, .seed = 1}));
  EXPECT_EQ(batch.ids.size(0), 32);
  const int64_t vocabulary = data->tokenizer()->vocab_size();
  for (const int64_t id : batch.ids.to_vector<int64_t>()) ASSERT_TRUE(id >= 0 && id < vocabulary);
}

}  // namespace
}  // namespace heed::data
