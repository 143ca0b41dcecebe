/* Trains online with FANN in doubles: what bench/peers/fann.py wrote to standard input.
 *
 * In: number of layers, their widths, samples, epochs, rate, least seconds; then weights and bias
 * of each unit; then each sample's inputs and targets; then the order of each epoch.
 * Out: seconds of one run, mean half squared error of its last epoch.
 */
#include <doublefann.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static double number(void)
{
    double value;
    if (scanf("%lf", &value) != 1)
        exit(2);
    return value;
}

int main(void)
{
    unsigned layers = number(), width[16];
    for (unsigned k = 0; k < layers; k++)
        width[k] = number();
    unsigned samples = number(), epochs = number(), inputs = width[0], outputs = width[layers - 1];
    double rate = number(), least = number();

    struct fann *network = fann_create_standard_array(layers, width);
    fann_set_activation_function_hidden(network, FANN_SIGMOID);
    fann_set_activation_function_output(network, FANN_SIGMOID);
    fann_set_activation_steepness_hidden(network, 0.5); /* 1 / (1 + exp(-z)) */
    fann_set_activation_steepness_output(network, 0.5);
    fann_set_train_error_function(network, FANN_ERRORFUNC_LINEAR);
    fann_set_training_algorithm(network, FANN_TRAIN_INCREMENTAL);
    fann_set_learning_rate(network, rate);
    fann_set_learning_momentum(network, 0);

    size_t bytes = network->total_connections * sizeof(fann_type);
    fann_type *weights = malloc(bytes);
    for (unsigned k = 0; k < network->total_connections; k++)
        weights[k] = number();
    fann_type *X = malloc(sizeof *X * samples * inputs), *T = malloc(sizeof *T * samples * outputs);
    for (unsigned n = 0; n < samples; n++) {
        for (unsigned i = 0; i < inputs; i++)
            X[n * inputs + i] = number();
        for (unsigned o = 0; o < outputs; o++)
            T[n * outputs + o] = number();
    }
    unsigned *order = malloc(sizeof *order * epochs * samples);
    for (unsigned k = 0; k < epochs * samples; k++)
        order[k] = number();

    double seconds = 0;
    unsigned runs = 0;
    while (seconds < least) {
        memcpy(network->weights, weights, bytes);
        double began = now();
        for (unsigned e = 0; e < epochs; e++) {
            fann_reset_MSE(network);
            for (unsigned n = 0; n < samples; n++) {
                unsigned row = order[e * samples + n];
                fann_train(network, X + row * inputs, T + row * outputs);
            }
        }
        seconds += now() - began;
        runs++;
    }
    printf("%.9g %.17g\n", seconds / runs, 0.5 * outputs * fann_get_MSE(network));
    return 0;
}
