slm_test(loader_config_test
  SOURCES loader/folder_test.cc loader/genai_config_test.cc
          loader/hf_config_test.cc loader/tokenizer_config_test.cc
  LINKS slm_loader_config)
