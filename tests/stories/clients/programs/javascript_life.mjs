// The whole life of an endpoint by the AWS SDK for JavaScript: `node javascript_life.mjs ARCHIVE`.
import { createRequire } from "node:module";
import { argv, env } from "node:process";

// From the packages' folder, which is not this program's.
const need = createRequire(`${env.NODE_PACKAGES}/`);
const {
  CreateEndpointCommand, CreateEndpointConfigCommand, CreateModelCommand, DeleteEndpointCommand,
  DeleteEndpointConfigCommand, DeleteModelCommand, DescribeEndpointCommand, ListModelsCommand,
  SageMakerClient, waitUntilEndpointDeleted, waitUntilEndpointInService,
} = need("@aws-sdk/client-sagemaker");
const {
  InvokeEndpointCommand, InvokeEndpointWithResponseStreamCommand, SageMakerRuntimeClient,
} = need("@aws-sdk/client-sagemaker-runtime");

const [archive] = argv.slice(2);
const sagemaker = new SageMakerClient({});
const runtime = new SageMakerRuntimeClient({});
const waiting = { client: sagemaker, maxWaitTime: 100, minDelay: 1 };
const EndpointName = "script", EndpointConfigName = "script", ModelName = "script";
const facts = {};

await sagemaker.send(new CreateModelCommand({
  ModelName,
  ExecutionRoleArn: "arn:aws:iam::000000000000:role/anybody",
  PrimaryContainer: { Image: "pytorch-inference:2.6.0", ModelDataUrl: `file://${archive}` },
}));
await sagemaker.send(new CreateEndpointConfigCommand({
  EndpointConfigName,
  ProductionVariants: [
    { VariantName: "AllTraffic", ModelName, InstanceType: "ml.m5.large", InitialInstanceCount: 1 },
  ],
}));
await sagemaker.send(new CreateEndpointCommand({ EndpointName, EndpointConfigName }));
facts.waited = (await waitUntilEndpointInService(waiting, { EndpointName })).state;
const told = await sagemaker.send(new DescribeEndpointCommand({ EndpointName }));
facts.created = told.CreationTime instanceof Date;

const request = { EndpointName, ContentType: "application/json", Body: "[1, 2]" };
const answer = await runtime.send(new InvokeEndpointCommand(request));
facts.answer = JSON.parse(new TextDecoder().decode(answer.Body));
const stream = await runtime.send(new InvokeEndpointWithResponseStreamCommand(request));
facts.streamed = "";
for await (const event of stream.Body) {
  facts.streamed += new TextDecoder().decode(event.PayloadPart.Bytes);
}
try {
  await runtime.send(new InvokeEndpointCommand({ ...request, Body: "no JSON" }));
} catch (error) {
  facts.refused = [error.name, error.OriginalStatusCode];
}

await sagemaker.send(new DeleteEndpointCommand({ EndpointName }));
facts.deleted = (await waitUntilEndpointDeleted(waiting, { EndpointName })).state;
await sagemaker.send(new DeleteEndpointConfigCommand({ EndpointConfigName }));
await sagemaker.send(new DeleteModelCommand({ ModelName }));
facts.left = (await sagemaker.send(new ListModelsCommand({}))).Models.length;
console.log(JSON.stringify(facts));
