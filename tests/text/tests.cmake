slm_test(tokenizer_test
  SOURCES text/tokenizer_test.cc text/tokenizer_regex_test.cc
  LINKS slm_tokenizer)
slm_test(tokenizer_vectors_test
  SOURCES text/tokenizer_vectors_test.cc
  LINKS slm_tokenizer)
