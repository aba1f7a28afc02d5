slm_test(loader_config_test
  SOURCES loader/folder_test.cc loader/genai_config_test.cc
          loader/hf_config_test.cc loader/tokenizer_config_test.cc
  LINKS slm_loader_config)
slm_test(loader_onnx_test
  SOURCES loader/onnx_graph_test.cc loader/onnx_writer_test.cc
  LINKS slm_onnx slm_onnx_schema)
slm_test(safetensors_test
  SOURCES loader/safetensors_test.cc
  LINKS slm_safetensors)
slm_test(gguf_test
  SOURCES loader/gguf_test.cc
  LINKS slm_gguf)
slm_test(models_test
  SOURCES loader/models_test.cc
  LINKS slm_models)
