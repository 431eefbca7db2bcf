"""What the studies of one paper share: Srivastava et al. 2014."""

CITATION = (
    "N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, Dropout: A Simple "
    "Way to Prevent Neural Networks from Overfitting, JMLR 15, 2014"
)
