"""Ask the deployed endpoint of the project in this folder two headlines, as any script would."""

import json

from hotfire import DeployEnv

HEADLINES = (
    "The Wimbledon tennis tournament starts next week!",
    "The Canadian President signed in the new federal law.",
)

env = DeployEnv()
response = env.runtime_client().invoke_endpoint(
    EndpointName=env.setting("model_name"),
    ContentType="application/json",
    Body=json.dumps([[headline] for headline in HEADLINES]),
)
for headline, answer in zip(HEADLINES, json.load(response["Body"]), strict=True):
    print(headline)
    for label, probability in answer["probabilities"].items():
        print(f"  {label:10} {probability:6.1%}")
