// Matt Mazur's "A Step by Step Backpropagation Example" (2015): his network, and what he printed.

const layer = (name, weights, bias) => ({
  name,
  units: 2,
  activation: "logistic",
  weights,
  biases: [bias, bias],
  train_biases: false, // the article leaves them alone
});

export const MAZUR = {
  network: {
    name: "mazur",
    inputs: 2,
    layers: [
      layer("hidden", [[0.15, 0.2], [0.25, 0.3]], 0.35),
      layer("output", [[0.4, 0.45], [0.5, 0.55]], 0.6),
    ],
  },
  inputs: [0.05, 0.1],
  targets: [0.01, 0.99],
  loss: "half_squared_error",
  learning_rate: 0.5,
  update_order: "simultaneous",
};

/** What the article prints, by the symbol that has it here. */
export const PRINTED = {
  net_h1: "0.3775",
  out_h1: "0.593269992",
  out_h2: "0.596884378",
  net_o1: "1.105905967",
  out_o1: "0.75136507",
  out_o2: "0.772928465",
  E_o1: "0.274811083",
  E_o2: "0.023560026",
  E_total: "0.298371109",
  dE_total_dout_o1: "0.74136507",
  dout_o1_dnet_o1: "0.186815602",
  delta_o1: "0.138498562",
  dE_total_dw5: "0.082167041",
  dE_total_dout_h1: "0.036350306",
  dE_total_dw1: "0.000438568",
  "w1+": "0.149780716",
  "w2+": "0.19956143",
  "w3+": "0.24975114",
  "w4+": "0.29950229",
  "w5+": "0.35891648",
  "w6+": "0.408666186",
  "w7+": "0.511301270",
  "w8+": "0.561370121",
  "E_total+": "0.291027924",
};
