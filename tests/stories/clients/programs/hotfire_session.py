"""Hotfire's helpers beside a SageMaker SDK of either version: `hotfire_session.py CONFIG ARCHIVE`."""

import json
import sys

import boto3

import hotfire

try:
    from sagemaker import Session, get_execution_role
except ImportError:
    from sagemaker.core.helper.session_helper import Session, get_execution_role

config, archive = sys.argv[1:]
facts: dict[str, object] = {}

session = hotfire.DeployEnv(config=config).session()
facts["class"] = type(session) is Session
facts["role"] = get_execution_role(session)
facts["uploaded"] = session.upload_data(archive, key_prefix="models")
facts["endpoints"] = [one["EndpointName"] for one in session.sagemaker_client.list_endpoints()["Endpoints"]]

with hotfire.use_local():
    facts["role in a notebook"] = get_execution_role()
    facts["uploaded in a notebook"] = Session().upload_data(archive, key_prefix="notebook")
    facts["account"] = boto3.client("sts").get_caller_identity()["Account"]
print(json.dumps(facts))
