class Handler:
    def load(self, model_dir):
        return "m"

    @staticmethod
    def read(body, content_type):
        return body

    @classmethod
    def run(cls, data, model):
        return [cls.__name__, data, model]


handler = Handler()
model_fn = handler.load
input_fn = Handler.read
predict_fn = Handler.run
output_fn = str.format
