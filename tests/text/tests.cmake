slm_test(tokenizer_vectors_test
  SOURCES text/tokenizer_vectors_test.cc
  LINKS slm_tokenizer)
