// Jobs that are one click away.

const sgd = (learning_rate) => ({ name: "sgd", learning_rate, momentum: 0.9 });

export const EXAMPLES = [
  {
    title: "Watch XOR being learned",
    text: "Two inputs, three hidden units: its decision surface can be seen moving.",
    job: {
      name: "XOR",
      network: {
        name: "xor",
        inputs: 2,
        layers: [
          { units: 3, activation: "tanh" },
          { units: 1, activation: "logistic" },
        ],
      },
      dataset: "builtin:xor",
      training: {
        epochs: 600,
        batch_size: "all",
        loss: "binary_cross_entropy",
        optimizer: sgd(0.3),
        seed: 4,
      },
      snapshots: { every: 20 },
    },
  },
  {
    title: "Tell irises apart",
    text: "Four measures, three species, a fifth of the flowers held back.",
    job: {
      name: "iris",
      network: {
        name: "iris",
        inputs: 4,
        layers: [
          { units: 7, activation: "tanh" },
          { units: 3, activation: "softmax" },
        ],
      },
      dataset: "builtin:iris",
      training: {
        epochs: 200,
        batch_size: 16,
        loss: "cross_entropy",
        optimizer: sgd(0.05),
        validation: { fraction: 0.2 },
        seed: 7,
      },
      snapshots: { every: 10 },
    },
  },
];
